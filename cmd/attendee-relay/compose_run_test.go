package main

import (
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgserver"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// The services of docker-compose.yml as plain processes: their commands and environments, with nothing changed but the
// names and numbers of hosts. What the file's first lines tell the reader to do brings a webhook.
func TestComposeServicesWorkWithoutAnEngine(t *testing.T) {
	t.Parallel()
	project := loadCompose(t)
	server := pgtest.Start(t, nil)

	receiver := project.Services["receiver"]
	local := strings.NewReplacer("0.0.0.0:9000", "127.0.0.1:0")
	listening := relaytest.Start(t, replaced(environ(receiver), local), replaced(receiver.Command, local)...)
	pgtest.WaitUntil(t, 20*time.Second, "the receiver listens", func() (bool, string) {
		return strings.Contains(listening.Stderr(), "listening on http://"), listening.Stderr()
	})
	_, rest, _ := strings.Cut(listening.Stderr(), "listening on http://")
	hook, _, _ := strings.Cut(rest, ",")

	database := startDatabase(t, server, project, strings.NewReplacer("http://receiver:9000", "http://"+hook))
	local = strings.NewReplacer(
		"@db:5432/", "@"+database.Host+"/",
		"0.0.0.0:8080", "127.0.0.1:0",
		project.Networks["webhooks"].Ipam.Config[0].Subnet, "127.0.0.0/8",
	)
	relay := relaytest.RunWith(t, replaced(environ(project.Services["relay"]), local))
	relay.AwaitRole(t, ready, "leader")

	run(t, database.String(), "UPDATE attendees SET status = 'Accepted' WHERE id = 4")
	listening.AwaitStdout(t, ready, "  verified  ")
	listening.AwaitStdout(t, ready, `"surname": "Müller-Lüdenscheidt"`)
}

// startDatabase starts the database as the Postgres image does at its first start: it makes the role and the database
// named in the environment and runs the scripts in the order of their names.
func startDatabase(t *testing.T, server *pgserver.Server, project *types.Project, local *strings.Replacer) *url.URL {
	t.Helper()
	service := project.Services["db"]
	role, password, name := *service.Environment["POSTGRES_USER"], *service.Environment["POSTGRES_PASSWORD"],
		*service.Environment["POSTGRES_DB"]
	run(t, server.URL("postgres"), "alter role "+pgtest.Role+" rename to set_aside") // the scripts make it themselves
	run(t, server.URL("postgres"), "create role "+role+" superuser login password '"+password+"'")
	run(t, server.URL("postgres"), "create database "+name+" owner "+role)
	database, err := url.Parse(server.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	database.User = url.UserPassword(role, password)
	scripts := initScripts(t, project)
	for _, script := range slices.Sorted(maps.Keys(scripts)) {
		run(t, database.String(), local.Replace(scripts[script]))
	}
	return database
}

// initScripts returns what the database's service has in its directory of scripts, by name.
func initScripts(t *testing.T, project *types.Project) map[string]string {
	t.Helper()
	const directory = "/docker-entrypoint-initdb.d"
	scripts := map[string]string{}
	service := project.Services["db"]
	for _, volume := range service.Volumes {
		if filepath.Dir(volume.Target) == directory {
			text, err := os.ReadFile(volume.Source)
			if err != nil {
				t.Fatal(err)
			}
			scripts[volume.Target] = string(text)
		}
	}
	for _, config := range service.Configs {
		if filepath.Dir(config.Target) == directory {
			scripts[config.Target] = project.Configs[config.Source].Content
		}
	}
	if len(scripts) != 3 {
		t.Errorf("the scripts are %v", slices.Sorted(maps.Keys(scripts)))
	}
	return scripts
}

// run executes a script as psql would, on a connection of its own.
func run(t *testing.T, database, script string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.PgConn().Exec(t.Context(), script).ReadAll(); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
}

// replaced is the list with the replacer's changes.
func replaced(list []string, by *strings.Replacer) []string {
	changed := make([]string, len(list))
	for i, text := range list {
		changed[i] = by.Replace(text)
	}
	return changed
}
