package postgres

import (
	"slices"
	"strings"
)

// dropOptions removes the settings that every transaction sets itself from an options word (-c name=value,
// --name=value), which poolers refuse as a whole. The rest of it stays: some hosts read from it which database is
// meant.
func dropOptions(text string) string {
	words := optionWords(text)
	var kept []string
	for i := 0; i < len(words); i++ {
		option := []string{words[i]}
		if words[i] == "-c" && i+1 < len(words) {
			i++
			option = append(option, words[i])
		}
		if !isPinned(optionName(option)) {
			kept = append(kept, option...)
		}
	}
	return strings.Join(kept, " ")
}

// optionName is the setting that an option sets; "" where it is something else.
func optionName(option []string) string {
	assignment := option[len(option)-1]
	if len(option) == 1 {
		name, isLong := strings.CutPrefix(assignment, "--")
		if !isLong {
			if name, isLong = strings.CutPrefix(assignment, "-c"); !isLong {
				return ""
			}
		}
		assignment = name
	}
	name, _, given := strings.Cut(assignment, "=")
	if !given {
		return ""
	}
	return strings.ReplaceAll(name, "-", "_") // ParseLongOption, PostgreSQL 14-18
}

func isPinned(name string) bool {
	return slices.ContainsFunc(Pinned(), func(pinned string) bool { return strings.EqualFold(pinned, name) })
}

// optionWords separates words at white space that no backslash precedes, and keeps the backslashes (pg_split_opts,
// PostgreSQL 14-18).
func optionWords(text string) (words []string) {
	word, escaped := "", false
	for _, r := range text {
		switch {
		case !escaped && strings.ContainsRune(" \t\n\r\v\f", r):
			if word != "" {
				words = append(words, word)
			}
			word = ""
			continue
		case escaped:
			escaped = false
		default:
			escaped = r == '\\'
		}
		word += string(r)
	}
	if word != "" {
		words = append(words, word)
	}
	return words
}
