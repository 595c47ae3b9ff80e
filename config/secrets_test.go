package config_test

import (
	"os"
	"strings"
	"testing"

	"attendee-relay/config"
)

// The connection strings are read again from their files; one that is missing or empty by then is an error that names
// the variable and neither the path nor the text.
func TestConnectionStringsAreReadAgain(t *testing.T) {
	t.Parallel()
	const other = "postgres://relay:changed@db/registration"
	path := file(t, conninfo+"\n")
	c, err := config.Load([]string{"DATABASE_URL_FILE=" + path})
	if err != nil {
		t.Fatal(err)
	}
	if c.Database.Pooled() {
		t.Error("one variable leads two ways")
	}
	for name, write := range map[string]string{"changed": other + "\n", "emptied": " \n"} {
		if err := os.WriteFile(path, []byte(write), 0o600); err != nil {
			t.Fatal(err)
		}
		text, err := c.Database.ReplicationURL.Read() // by default that of DATABASE_URL
		switch {
		case name == "changed" && (err != nil || text != other):
			t.Errorf("%s: %v", name, err)
		case name == "emptied" && (err == nil || !strings.HasPrefix(err.Error(), "DATABASE_URL_FILE ") ||
			strings.Contains(err.Error(), path)):
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Database.URL.Read(); err == nil || !strings.HasPrefix(err.Error(), "DATABASE_URL_FILE ") {
		t.Errorf("removed: %v", err)
	}
	if c.Database.URL.Reveal() != conninfo {
		t.Error("the text of the start is gone")
	}
}

func TestSecretsKnowTheirVariable(t *testing.T) {
	t.Parallel()
	c, err := config.Load([]string{"DATABASE_URL=" + conninfo, "DATABASE_REPLICATION_URL_FILE=" +
		file(t, "postgres://relay@direct/registration")})
	if err != nil {
		t.Fatal(err)
	}
	got := c.Database.URL.Variable() + " " + c.Database.ReplicationURL.Variable()
	if got != "DATABASE_URL DATABASE_REPLICATION_URL" || !c.Database.Pooled() {
		t.Errorf("the variables are %s, two ways: %v", got, c.Database.Pooled())
	}
}
