package outbox_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

var (
	seedFlag         = flag.Uint64("seed", 0, "seed of the random transactions; 0: another one each time")
	transactionsFlag = flag.Int("transactions", 0,
		"random transactions of each kind of table; 0: 25, or 12 with -short and under the race detector")
)

// shape is a kind of watched table.
type shape struct {
	name string
	ddl  string
	// columns are the primary key's; id gives their values for the identity of this number, of which there are ids.
	columns []string
	ids     int
	id      func(int) []string
	// key is SOURCE_KEY: one of the columns, or k, whose values keyed gives.
	key   string
	keyed func(int) string
	cast  string
	// accepted and others are status values; "" is NULL.
	accepted, others []string
	// configured is SOURCE_ACCEPTED, when it is not accepted.
	configured []string
	partition  func(id int) int
}

func number(i int) string     { return strconv.Itoa(i) }
func single(i int) []string   { return []string{number(i)} }
func pair(i int) []string     { return []string{number(i / 4), number(i % 4)} }
func odd(i int) string        { return []string{"", " ", `a"b\c`, "(x,y)", "é\n", "NULL", "{}", "z"}[i%8] }
func oddPair(i int) []string  { return []string{odd(i), odd(i / 2)} }
func placed(i int) []string   { return []string{number(i % 4), number(i / 4)} }
func long(text string) string { return strings.Repeat(text+"0123456789abcdef", 2500/(len(text)+16)) }

var shapes = []shape{
	{
		name:    "text status, key is the primary key",
		ddl:     `create table people (id int primary key, k int, status text, note text)`,
		columns: []string{"id"}, ids: 12, id: single, key: "id", cast: "int[]",
		accepted: []string{"Accepted", "VIP"}, others: []string{"Pending", "", "accepted"},
	},
	{
		name: "replica identity full, key shared by rows",
		ddl: `create table people (id int primary key, k int, status text, note text);
			alter table people replica identity full`,
		columns: []string{"id"}, ids: 12, id: single, key: "k", keyed: number, cast: "int[]",
		accepted: []string{"Accepted"}, others: []string{"Pending", ""},
	},
	{
		name: "enum status, composite primary key, key shared by rows",
		ddl: `create type "the status" as enum ('new', 'Accepted', 'gone');
			create table people (tenant int, id int, k text, status "the status", note text, primary key (tenant, id))`,
		columns: []string{"tenant", "id"}, ids: 12, id: pair, key: "k", keyed: odd, cast: "text[]",
		accepted: []string{"Accepted"}, others: []string{"new", "gone", ""},
	},
	{
		name: "int status, composite primary key of odd texts, replica identity full",
		ddl: `create table people (a text, b text, k int, status smallint, note text, primary key (b, a));
			alter table people replica identity full`,
		columns: []string{"a", "b"}, ids: 8, id: oddPair, key: "a", cast: "text[]",
		accepted: []string{"2", "7"}, others: []string{"0", "-2", ""}, configured: []string{"2", "07"},
	},
	{
		name:    "bool status, key shared by rows",
		ddl:     `create table people (id int primary key, k int, status bool, note text)`,
		columns: []string{"id"}, ids: 12, id: single, key: "k", keyed: number, cast: "int[]",
		accepted: []string{"true"}, others: []string{"false", ""},
	},
	{
		name:    "text primary key of odd values",
		ddl:     `create table people (id text primary key, k int, status text, note text)`,
		columns: []string{"id"}, ids: 8, id: func(i int) []string { return []string{odd(i)} }, key: "id", cast: "text[]",
		accepted: []string{"Accepted"}, others: []string{"Pending", ""},
	},
	{
		name: "partitioned, rows move between partitions",
		ddl: `create table people (id int, part int, k int, status char(10), note text, primary key (id, part))
			partition by list (part);
			create table people_0 partition of people for values in (0); create table people_1 (note text, status char(10),
				k int, dropped int, part int not null, id int not null);
			alter table people_1 drop column dropped; alter table people attach partition people_1 for values in (1);
				create table people_rest partition of people default`,
		columns: []string{"id", "part"}, ids: 12, id: placed, key: "id", cast: "int[]", partition: func(id int) int {
			return id / 4
		},
		accepted: []string{"Accepted"}, others: []string{"Pending", ""},
	},
	{
		name: "partitioned, replica identity full, key is another column",
		ddl: `create table people (id int, part int, k int, status text, note text, primary key (id, part))
			partition by list (part);
			create table people_0 partition of people for values in (0); create table people_1 partition of people for
				values in (1); create table people_rest partition of people default;
			alter table people replica identity full; alter table people_0 replica identity full;
				alter table people_1 replica identity full; alter table people_rest replica identity full`,
		columns: []string{"id", "part"}, ids: 12, id: placed, key: "k", keyed: number, cast: "int[]",
		partition: func(id int) int { return id / 4 },
		accepted:  []string{"Accepted"}, others: []string{"Pending", ""},
	},
	{
		name: "status so long that it is kept apart",
		ddl: `create table people (id int primary key, k int, status text, note text);
			alter table people alter status set storage external`,
		columns: []string{"id"}, ids: 12, id: single, key: "k", keyed: number, cast: "int[]",
		accepted: []string{long("yes")}, others: []string{"Pending", long("no"), ""},
	},
	{
		name: "replica identity is another index than the primary key",
		ddl: `create table people (serial serial primary key, id int not null, k int, status text, note text);
			create unique index people_id on people (id) include (note);
			alter table people replica identity using index people_id`,
		columns: []string{"id"}, ids: 12, id: single, key: "serial", cast: "int[]",
		accepted: []string{"Accepted"}, others: []string{"Pending", ""},
	},
}

// identity is the text that the relay has for an identity; composite ones are Postgres's own.
func (s *shape) identity(t *testing.T, db *pgtest.DB, id int) string {
	t.Helper()
	values := s.id(id)
	if len(values) == 1 {
		return values[0]
	}
	if s.columns[0] == "a" { // the index has the columns the other way round
		slices.Reverse(values)
	}
	return pgtest.Value[string](t, db, "select row($1::text, $2::text)::text", values[0], values[1])
}

func TestRandomTransactions(t *testing.T) {
	t.Parallel()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	for i := range shapes {
		for _, partSize := range []int{replication.PartSize, 2} {
			if partSize == replication.PartSize && testing.Short() {
				continue // what a version of Postgres may do otherwise is in the spool's SQL
			}
			name := shapes[i].name
			if partSize != replication.PartSize {
				name += ", by way of the spool"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				t.Logf("go test ./outbox -run '%s' -seed %d", t.Name(), seed)
				newWalk(t, &shapes[i], partSize, rand.New(rand.NewPCG(seed, uint64(i)))).run(t)
			})
		}
	}
}

// walk is one random history of a table.
type walk struct {
	*shape
	rig    *capturetest.Rig
	conn   *pgx.Conn
	random *rand.Rand
	model  *model
	tx     pgx.Tx
	story  []string
	// One element a committed transaction: what happened, where the WAL ended after it, and what it accepted.
	stories, ends []string
	accepted      [][]int
	keys          []map[int]int
}

func newWalk(t *testing.T, s *shape, partSize int, random *rand.Rand) *walk {
	t.Helper()
	db := pgtest.New(t, pgtest.Empty())
	db.Exec(t, s.ddl)
	// Rows that differ in nothing else give one payload a key.
	query := fmt.Sprintf(`select distinct on (%[1]s) %[1]s as key, 1 as attendee_id, 'n' as name, 's' as surname,
		'e' as email,
		null::numeric as price, null as currency, 1 as event_id, 'e' as event_name from people
			where %[1]s = any ($1::%[2]s);`, s.key, s.cast)
	rig := capturetest.New(db)
	rig.Source.Table, rig.Source.Key, rig.Source.Accepted = "public.people", s.key, s.accepted
	if s.configured != nil {
		rig.Source.Accepted = s.configured
	}
	rig.Outbox.Query = query
	rig.Capture = func(c *replication.Capture) { c.PartSize = partSize }
	if partSize != replication.PartSize {
		rig.Recorder = func(r *outbox.Recorder) { r.SetSpoolBatch(2) }
	}
	conn, err := pgx.Connect(t.Context(), db.OwnerURL()) // the application
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	w := &walk{shape: s, rig: rig, conn: conn, random: random, model: newModel()}
	marker := []string{"9999"}
	if s.partition != nil {
		marker = []string{"99", "99"}
	} else if len(s.columns) == 2 {
		marker = []string{"9", "9"}
	}
	rig.Marker = fmt.Sprintf(
		"insert into people (%[1]s) values (%[2]s) on conflict (%[1]s) do update set note = now()::text",
		strings.Join(s.columns, ", "), literals(marker...))
	return w
}

func transactions() int {
	switch {
	case *transactionsFlag > 0:
		return *transactionsFlag
	case testing.Short() || relaytest.Racing():
		return 12
	default:
		return 25
	}
}

func (w *walk) run(t *testing.T) {
	// Some rows are accepted before the first start: they are in the ledger and not announced.
	w.transaction(t)
	w.stories, w.ends, w.accepted, w.keys = nil, nil, nil, nil
	w.rig.Start(t)
	w.rig.AwaitLeading(t)
	w.ends = append(w.ends, pgtest.Value[string](t, w.rig.DB, "select pg_current_wal_insert_lsn()::text"))
	for range transactions() {
		switch n := w.random.IntN(100); {
		case n < 3:
			w.rig.Stop(t)
			w.rig.Start(t)
		case n < 6:
			w.rig.DB.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity
				where datname = current_database() and application_name like 'attendee-relay/%'`)
		}
		w.transaction(t)
	}
	w.rig.CaughtUp(t)
	w.compare(t)
}

// transaction runs random statements in one transaction and in the model.
func (w *walk) transaction(t *testing.T) {
	t.Helper()
	var err error
	if w.tx, err = w.conn.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := w.model.clone()
	w.story = nil
	w.model.begin()
	open := 0
	for range 1 + w.random.IntN(7) {
		switch n := w.random.IntN(20); {
		case n == 0:
			w.exec(t, "savepoint s")
			w.model.savepoint()
			open++
		case n == 1 && open > 0:
			w.exec(t, "rollback to s; release s")
			w.model.rollbackTo()
			open--
		case n == 2 && open > 0:
			w.exec(t, "release s")
			w.model.release()
			open--
		default:
			w.step(t)
		}
	}
	if w.random.IntN(10) == 0 {
		if err := w.tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.model = before
		return
	}
	if err := w.tx.Commit(t.Context()); err != nil {
		t.Fatalf("committing %s: %v", strings.Join(w.story, "; "), err)
	}
	var end string
	if err := w.conn.QueryRow(t.Context(), "select pg_current_wal_insert_lsn()::text").Scan(&end); err != nil {
		t.Fatal(err)
	}
	w.stories, w.ends = append(w.stories, strings.Join(w.story, "; ")), append(w.ends, end)
	w.accepted = append(w.accepted, w.model.commit())
	keys := map[int]int{}
	for id, p := range w.model.rows {
		if p.accepted {
			keys[id] = p.key
		}
	}
	w.keys = append(w.keys, keys)
}

func (w *walk) step(t *testing.T) {
	t.Helper()
	live, free := w.live(), w.free()
	if len(live) == 0 {
		w.insert(t, free)
		return
	}
	one := live[w.random.IntN(len(live))]
	switch n := w.random.IntN(100); {
	case n < 20:
		w.insert(t, free)
	case n < 40:
		w.setStatus(t, one)
	case n < 45:
		w.setAll(t, live)
	case n < 52:
		w.exec(t, "update people set note = "+literal(long(number(w.random.IntN(1000))))+" where "+w.where(one))
	case n < 57:
		w.exec(t, "update people set status = status, note = note where "+w.where(one))
	case n < 62:
		w.setKey(t, one)
	case n < 70:
		w.change(t, one, free)
	case n < 75:
		w.swap(t, live, free)
	case n < 83:
		w.exec(t, "delete from people where "+w.where(one))
		w.model.delete(one)
	case n < 88:
		key := w.model.rows[one].key
		w.exec(t, "delete from people where "+w.where(one))
		w.model.delete(one)
		w.insertRow(t, one, key)
	case n < 92:
		w.again(t, one, free)
	case n < 96:
		w.upsert(t, append(live, free...))
	default:
		w.truncate(t)
	}
}

func (w *walk) live() []int { return slices.Sorted(maps.Keys(w.model.rows)) }

func (w *walk) free() []int {
	var free []int
	for id := range w.ids {
		if w.model.rows[id] == nil {
			free = append(free, id)
		}
	}
	w.random.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	return free
}

// status draws one and says whether it is an accepted one.
func (w *walk) status() (value string, accepted bool) {
	if w.random.IntN(2) == 0 {
		return w.shape.accepted[w.random.IntN(len(w.shape.accepted))], true
	}
	return w.others[w.random.IntN(len(w.others))], false
}

// sourceKey is what the model compares as SOURCE_KEY of the row.
func (w *walk) sourceKey(id, k int) int {
	switch {
	case w.key == "k":
		return k
	case w.key == "serial":
		return 1000 + w.random.IntN(1<<30)
	case w.partition != nil:
		return id % 4
	case len(w.columns) == 2:
		return id % 8
	default:
		return id
	}
}

func (w *walk) drawKey() int { return w.random.IntN(4) }

// insert adds one row or several, by INSERT or COPY.
func (w *walk) insert(t *testing.T, free []int) {
	t.Helper()
	if len(free) == 0 {
		return
	}
	free = free[:1+w.random.IntN(min(5, len(free)))]
	if w.random.IntN(2) == 0 {
		for _, id := range free {
			w.insertRow(t, id, -1)
		}
		return
	}
	var lines strings.Builder
	for _, id := range free {
		k := w.drawKey()
		status, accepted := w.status()
		for _, value := range append(w.id(id), w.keyText(k)) {
			lines.WriteString(copyText(value) + "\t")
		}
		if status == "" {
			lines.WriteString("\\N\n")
		} else {
			lines.WriteString(copyText(status) + "\n")
		}
		w.model.insert(id, w.sourceKey(id, k), accepted)
	}
	w.story = append(w.story, fmt.Sprintf("COPY %q", shorten(lines.String())))
	_, err := w.conn.PgConn().CopyFrom(t.Context(), strings.NewReader(lines.String()),
		"copy people ("+strings.Join(w.columns, ", ")+", k, status) from stdin")
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(w.story, "; "), err)
	}
}

// insertRow adds a row with this SOURCE_KEY; -1: any.
func (w *walk) insertRow(t *testing.T, id, key int) {
	t.Helper()
	k := w.drawKey()
	if key >= 0 && w.key == "k" {
		k = key
	}
	status, accepted := w.status()
	w.exec(t, fmt.Sprintf("insert into people (%s, k, status) values (%s, %s, %s)", strings.Join(w.columns, ", "),
		literals(w.id(id)...), literal(w.keyText(k)), statusLiteral(status)))
	w.model.insert(id, w.sourceKey(id, k), accepted)
}

func (w *walk) keyText(k int) string {
	if w.keyed == nil {
		return number(k)
	}
	return w.keyed(k)
}

// setStatus flips a row's status, sometimes several times.
func (w *walk) setStatus(t *testing.T, id int) {
	t.Helper()
	for range 1 + w.random.IntN(3) {
		status, accepted := w.status()
		w.exec(t, "update people set status = "+statusLiteral(status)+" where "+w.where(id))
		w.model.rows[id].accepted = accepted
	}
}

func (w *walk) setAll(t *testing.T, live []int) {
	t.Helper()
	status, accepted := w.status()
	// The marker is not the model's.
	w.exec(t, "update people set status = "+statusLiteral(status)+" where k is not null")
	for _, id := range live {
		w.model.rows[id].accepted = accepted
	}
}

func (w *walk) setKey(t *testing.T, id int) {
	t.Helper()
	k := w.drawKey()
	w.exec(t, "update people set k = "+literal(w.keyText(k))+" where "+w.where(id))
	if w.key == "k" {
		w.model.rows[id].key = k
	}
}

// change gives a row another identity: across partitions that is a DELETE and an INSERT with the same SOURCE_KEY.
func (w *walk) change(t *testing.T, from int, free []int) {
	t.Helper()
	if len(free) == 0 {
		return
	}
	to := free[0]
	if w.partition != nil && w.partition(from) != w.partition(to) {
		if w.key != "k" {
			at := slices.IndexFunc(free, func(id int) bool { return id%4 == from%4 })
			if at < 0 {
				return
			}
			to = free[at]
		}
	}
	w.move(t, from, to)
}

func (w *walk) move(t *testing.T, from, to int) {
	t.Helper()
	p := w.model.rows[from]
	set := make([]string, len(w.columns))
	for i, value := range w.id(to) {
		set[i] = w.columns[i] + " = " + literal(value)
	}
	w.exec(t, "update people set "+strings.Join(set, ", ")+" where "+w.where(from))
	if w.partition != nil && w.partition(from) != w.partition(to) {
		key, accepted := p.key, p.accepted
		w.model.delete(from)
		w.model.insert(to, key, accepted)
		return
	}
	w.model.move(from, to)
	if w.key != "k" && w.key != "serial" {
		w.model.rows[to].key = w.sourceKey(to, 0)
	}
}

// swap exchanges two rows' identities by way of a third.
func (w *walk) swap(t *testing.T, live, free []int) {
	t.Helper()
	if len(live) < 2 || len(free) == 0 || w.partition != nil {
		return
	}
	at := w.random.Perm(len(live))
	a, b, through := live[at[0]], live[at[1]], free[0]
	w.move(t, a, through)
	w.move(t, b, a)
	if w.random.IntN(3) > 0 { // else a chain
		w.move(t, through, b)
	}
}

// again deletes a row and inserts another one with the same SOURCE_KEY.
func (w *walk) again(t *testing.T, id int, free []int) {
	t.Helper()
	if w.key != "k" || len(free) == 0 {
		return
	}
	key := w.model.rows[id].key
	w.exec(t, "delete from people where "+w.where(id))
	w.model.delete(id)
	w.insertRow(t, free[0], key)
}

func (w *walk) upsert(t *testing.T, ids []int) {
	t.Helper()
	if w.key == "serial" {
		return
	}
	id, k := ids[w.random.IntN(len(ids))], w.drawKey()
	status, accepted := w.status()
	columns := strings.Join(w.columns, ", ")
	w.exec(t, fmt.Sprintf("insert into people (%[1]s, k, status) values (%[2]s, %[3]s, %[4]s) on conflict (%[1]s) do "+
		"update set status = excluded.status",
		columns, literals(w.id(id)...), literal(w.keyText(k)), statusLiteral(status)))
	if p := w.model.rows[id]; p != nil {
		p.accepted = accepted
		return
	}
	w.model.insert(id, w.sourceKey(id, k), accepted)
}

// truncate empties the table and loads some rows again, as before or changed.
func (w *walk) truncate(t *testing.T) {
	t.Helper()
	var load []person
	for _, id := range w.live() {
		load = append(load, *w.model.rows[id])
	}
	w.exec(t, "truncate people")
	w.model.truncate()
	for _, p := range load {
		if w.random.IntN(2) == 0 {
			w.insertRow(t, p.id, p.key)
		}
	}
}

func (w *walk) where(id int) string {
	conditions := make([]string, len(w.columns))
	for i, value := range w.id(id) {
		conditions[i] = w.columns[i] + " = " + literal(value)
	}
	return strings.Join(conditions, " and ")
}

func (w *walk) exec(t *testing.T, sql string) {
	t.Helper()
	w.story = append(w.story, shorten(sql))
	if _, err := w.tx.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", strings.Join(w.story, "; "), err)
	}
}

// compare finds the first transaction whose acceptances are not the model's.
func (w *walk) compare(t *testing.T) {
	t.Helper()
	names := make([]string, w.ids)
	for id := range names {
		names[id] = w.identity(t, w.rig.DB, id)
	}
	for i, story := range w.stories {
		// Of several new rows with one key, which are the deleted ones' continuation is open, how many is not.
		keys := map[string]string{}
		for id, key := range w.keys[i] {
			keys[names[id]] = number(key)
		}
		want := []string{}
		for _, id := range w.accepted[i] {
			want = append(want, keys[names[id]])
		}
		slices.Sort(want)
		const between = `select identity from (select identity, commit_lsn from attendee_relay.message
			union all select identity, commit_lsn from attendee_relay.acceptance) as a
			where commit_lsn >= $1::text::pg_lsn and commit_lsn < $2::text::pg_lsn`
		got := pgtest.Values[string](t, w.rig.DB, between, w.ends[i], w.ends[i+1])
		gotKeys := []string{}
		for _, identity := range got {
			key, accepted := keys[identity]
			if !accepted {
				key = "not accepted: " + identity
			}
			gotKeys = append(gotKeys, key)
		}
		slices.Sort(gotKeys)
		if !slices.Equal(gotKeys, want) {
			t.Errorf("transaction %d: %s\nannounced %q with the keys %q\nwant the keys %q\nbefore it: %s", i, story, got,
				gotKeys, want, strings.Join(w.stories[max(0, i-3):i], "\n  then "))
			return
		}
	}
	if total := len(w.rig.Announced(t, "%1$s")); total != sum(w.accepted) {
		t.Errorf("%d acceptances are recorded, %d lie between the transactions", total, sum(w.accepted))
	}
	want := []string{}
	for id, p := range w.model.rows {
		if p.accepted {
			want = append(want, names[id])
		}
	}
	slices.Sort(want)
	got := w.rig.Ledger(t)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the ledger holds %q, accepted are %q", got, want)
	}
}

func sum(lists [][]int) (n int) {
	for _, list := range lists {
		n += len(list)
	}
	return n
}

func literal(text string) string { return literals(text) }

// statusLiteral writes a status, of which the empty one stands for NULL.
func statusLiteral(status string) string {
	if status == "" {
		return "null"
	}
	return literal(status)
}

func literals(values ...string) string {
	quoted := make([]string, len(values))
	for i, value := range values {
		quoted[i] = "'" + strings.ReplaceAll(value, "'", "''") + "'"
	}
	return strings.Join(quoted, ", ")
}

func copyText(text string) string {
	return strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`).Replace(text)
}

var repeated = regexp.MustCompile(`(\w*0123456789abcdef){2,}`)

func shorten(text string) string { return repeated.ReplaceAllString(text, "$1…") }
