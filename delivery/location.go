package delivery

import (
	"strings"

	"attendee-relay/internal/weburl"
)

// maxLocation is how much of a Location is shown.
const maxLocation = 200

// leadsTo says where a redirect led, as a part of a sentence; nothing where it does not say so.
func leadsTo(location string) string {
	place := printable([]byte(withoutSecrets(location)))
	if place == "" {
		return ""
	}
	if len(place) > maxLocation {
		place = strings.ToValidUTF8(place[:maxLocation], "") + "..."
	}
	return "; it led to " + place
}

// withoutSecrets leaves out of a Location what may hold a secret: query, fragment, user name and password. Of what is no
// path and no URL of HTTP only the scheme is left.
func withoutSecrets(location string) string {
	location = weburl.Trim(location)
	if end := strings.IndexAny(location, "?#"); end >= 0 {
		location = location[:end]
	}
	scheme := ""
	if strings.HasPrefix(strings.ReplaceAll(location, `\`, "/"), "//") { // the scheme of the URL that answered
		scheme = "https:"
	}
	u, err := weburl.Parse(scheme + location)
	switch {
	case err == nil && scheme != "":
		return "//" + u.Authority() + u.Path
	case err == nil:
		return u.Public()
	case scheme != "":
		return ""
	}
	before, _, found := strings.Cut(location, ":")
	if found && !strings.Contains(before, "/") {
		return before + ":"
	}
	return location
}
