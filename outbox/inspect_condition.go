package outbox

import (
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// operand is a column as one condition of a plan compares it: with a key or with another relation's column, by
// equality.
type operand struct {
	column string
	// cast is the type to which the column is cast; "" if it is not. wrapped: it is in a function or another expression,
	// so an index on it does not help.
	cast    string
	wrapped bool
}

var (
	// castAfter is what follows a column that is cast: ")::text = ...". castName is a type that needs no quotes.
	castAfter = regexp.MustCompile(`^\)::([^=<>!()\[\]]+?)(?:\([\d,]+\))?( = |\))`)
	castName  = regexp.MustCompile(`^[a-z][a-z0-9_ ]*$`)
	// constant is the other side of a comparison that no key is in.
	constant = regexp.MustCompile(`^\(*(?:'|-?\d|true\b|false\b|NULL\b)`)
	// inside: the column is in an expression that is compared.
	insideLeft  = regexp.MustCompile(`^[^=]*?\)[^=]*? = `)
	insideRight = regexp.MustCompile(` = [^=]*\([^=]*$`)
	connective  = regexp.MustCompile(` (?:AND|OR) `)
)

// operands reads the conditions as Postgres writes them in a plan: each in parentheses, columns after their
// relation's alias.
func (s scan) operands(conditions string) (list []operand) {
	quoted := regexp.QuoteMeta(pgx.Identifier{s.alias}.Sanitize())
	named := regexp.MustCompile(`(?:\b` + regexp.QuoteMeta(s.alias) + `|` + quoted +
		`)\.("(?:[^"]|"")+"|[\pL_][\pL\pN_$]*)`)
	for _, at := range named.FindAllStringSubmatchIndex(conditions, -1) {
		name := conditions[at[2]:at[3]]
		c := operand{column: strings.ReplaceAll(strings.Trim(name, `"`), `""`, `"`)}
		if c.read(conditions[:at[0]], conditions[at[1]:]) {
			list = append(list, c)
		}
	}
	return list
}

// read finds out how the column between before and after is compared, and reports false where it is not, or with a
// constant only.
func (c *operand) read(before, after string) bool {
	if cast := castAfter.FindStringSubmatch(after); cast != nil && strings.HasSuffix(before, "(") {
		before, after = strings.TrimSuffix(before, "("), cast[2]+after[len(cast[0]):]
		c.cast = cast[1]
		c.wrapped = !castName.MatchString(c.cast)
		if c.wrapped {
			c.cast = ""
		}
	}
	if other, left := strings.CutPrefix(after, " = "); left && strings.HasSuffix(before, "(") {
		return !constant.MatchString(other)
	}
	if strings.HasPrefix(after, ")") && strings.HasSuffix(before, " = ") {
		return true
	}
	c.wrapped, c.cast = true, ""
	if found := insideLeft.FindString(after); found != "" && !connective.MatchString(found) {
		return !constant.MatchString(after[len(found):])
	}
	found := insideRight.FindString(before)
	return found != "" && !connective.MatchString(found)
}
