package weburl

import (
	"strings"
	"unicode"
)

// brailleBlank is printed as nothing, and is the one such character that no property of Unicode names.
const brailleBlank = '\u2800'

// Trim drops what cannot be seen from the ends of a text that was typed or pasted: white space, control and format
// characters, the byte order mark among them. A variation selector at the end stays: it belongs to what is before it.
func Trim(text string) string {
	text = strings.TrimRightFunc(text, invisible)
	return strings.TrimLeftFunc(text, func(r rune) bool {
		return invisible(r) || unicode.Is(unicode.Variation_Selector, r)
	})
}

func invisible(r rune) bool {
	return unicode.IsSpace(r) || r == brailleBlank ||
		unicode.In(r, unicode.Cc, unicode.Cf, unicode.Z, unicode.Other_Default_Ignorable_Code_Point)
}
