package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/jackc/pgx/v5"

	"attendee-relay/config"
	"attendee-relay/internal/pgtest"
)

// repository is the directory with docker-compose.yml, seen from this package.
const repository = "../.."

// The file is loaded as Compose loads it, which validates it against the specification's schema.
func TestComposeFileFollowsTheSpecification(t *testing.T) {
	t.Parallel()
	project := loadCompose(t)
	for _, name := range []string{"db", "relay", "receiver"} {
		if _, err := project.GetService(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, service := range project.Services {
		for _, volume := range service.Volumes {
			if _, err := os.Stat(volume.Source); volume.Type == types.VolumeTypeBind && err != nil {
				t.Errorf("service %s mounts what is not there: %v", service.Name, err)
			}
		}
		if service.Build == nil {
			continue
		}
		dockerfile := filepath.Join(service.Build.Context, service.Build.Dockerfile)
		if _, err := os.Stat(dockerfile); err != nil {
			t.Errorf("service %s is built from what is not there: %v", service.Name, err)
		}
	}
	if db := project.Services["db"]; !slices.Contains(db.Command, "wal_level=logical") {
		t.Errorf("the database runs as %q, without wal_level=logical", db.Command)
	}
}

func TestComposeEnvironmentIsUnderstood(t *testing.T) {
	t.Parallel()
	project := loadCompose(t)
	relay, receiver := project.Services["relay"], project.Services["receiver"]
	c, err := config.Load(environ(relay))
	if err != nil {
		t.Fatal(err)
	}
	// What the sample events point to is what the relay may reach.
	subnet := project.Networks["webhooks"].Ipam.Config[0].Subnet
	if networks := c.Delivery.AllowNetworks; !c.Delivery.AllowHTTP || len(networks) != 1 ||
		networks[0].String() != subnet {
		t.Errorf("the relay may reach %v, http: %v; the receiver is in %s", networks, c.Delivery.AllowHTTP, subnet)
	}
	if stop := relay.StopGracePeriod; stop == nil || c.ShutdownTimeout >= time.Duration(*stop) {
		t.Errorf("the relay is killed after %v, before its SHUTDOWN_TIMEOUT of %v is over", stop, c.ShutdownTimeout)
	}
	if *relay.Environment["DELIVERY_SIGNING_SECRETS"] != *receiver.Environment["DELIVERY_SIGNING_SECRETS"] {
		t.Error("relay and receiver have different secrets")
	}
}

func TestComposeCommandsExist(t *testing.T) {
	t.Parallel()
	project := loadCompose(t)
	command, rest, err := newRoot(&program{}).Find(project.Services["receiver"].Command)
	if err != nil || command.Name() != "listen" {
		t.Fatalf("the receiver's command leads to %v, %v", command, err)
	}
	if err := command.ParseFlags(rest); err != nil {
		t.Error(err)
	}
	if relay := project.Services["relay"].Command; len(relay) != 0 {
		t.Errorf("the relay's command is %q, not the image's own: run", relay)
	}
	dockerfile, err := os.ReadFile(filepath.Join(repository, "Dockerfile"))
	if err != nil || !strings.Contains(string(dockerfile), "\nCMD [\"run\"]\n") {
		t.Errorf("the image's command is not run: %v", err)
	}
}

// The init scripts are run in the order of the image: the schema, which the test's database has, the relay's access,
// then the sample, which sees the settings of its role as a new session does.
func TestComposeInitScriptsRun(t *testing.T) {
	t.Parallel()
	project := loadCompose(t)
	sample, err := os.ReadFile(filepath.Join(repository, "demo", "sample.sql"))
	if err != nil {
		t.Fatal(err)
	}
	// Roles belong to the whole server, which other tests use, so nothing is committed.
	tx, err := pgtest.New(t, pgtest.Unprepared()).OwnerPool(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	for _, script := range []string{
		"ALTER ROLE " + pgtest.Role + " RENAME TO set_aside",
		project.Configs["relay_access"].Content,
		`SELECT set_config(split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1), true)
		   FROM pg_db_role_setting s, unnest(s.setconfig) setting
		  WHERE s.setrole = current_user::regrole AND setting LIKE 'demo.%'`,
		string(sample),
	} {
		if _, err := tx.Exec(t.Context(), script, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
	}
	var events, published int
	err = tx.QueryRow(t.Context(), `SELECT
		(SELECT count(*) FROM events WHERE webhook_url LIKE 'http://receiver:9000/%' AND webhook_secret = $1),
		(SELECT count(*) FROM pg_publication_tables WHERE pubname = 'attendee_relay' AND tablename = 'attendees')`,
		*project.Services["receiver"].Environment["DELIVERY_SIGNING_SECRETS"]).Scan(&events, &published)
	if err != nil || events == 0 || published != 1 {
		t.Errorf("%d events lead to the receiver with its secret, %d tables are published, %v", events, published, err)
	}
}

func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	directory, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(directory, "docker-compose.yml")
	options, err := cli.NewProjectOptions([]string{file}, cli.WithWorkingDirectory(directory))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func environ(service types.ServiceConfig) []string {
	var list []string
	for name, value := range service.Environment {
		if value != nil {
			list = append(list, strings.Join([]string{name, *value}, "="))
		}
	}
	return list
}
