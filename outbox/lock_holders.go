package outbox

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"attendee-relay/internal/postgres"
)

// name matches words that may be the name of a table in a query's text.
var name = regexp.MustCompile(`"[^"]+"|[\pL_][\pL\pN_$]*`)

// lockHolders names who has locked a table that this deployment needs: its own tables, the watched one, and those of
// the payload query.
func (r *Recorder) lockHolders(ctx context.Context) string {
	return postgres.LockHolders(ctx, r.writer.url, "attendee-relay/"+r.deployment+" ",
		namesIn(r.settings.Table+" "+sqlComment.ReplaceAllString(r.reader.query.sql, " ")))
}

// namesIn lists all words of a query's text that may be the name of a table, once each.
func namesIn(text string) (names []string) {
	for _, found := range name.FindAllString(text, -1) {
		names = append(names, strings.Trim(found, `"`), strings.ToLower(found))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
