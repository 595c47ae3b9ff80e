package delivery

import (
	"regexp"
	"strings"

	"attendee-relay/internal/weburl"
)

// maxLocation is how much of a Location is shown.
const maxLocation = 200

// schemes are what a URL may begin with (RFC 3986, section 3.1).
var schemes = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)

// leadsTo says where a redirect led, as the end of a sentence; empty without a Location.
func leadsTo(location string) string {
	place := withoutSecrets(weburl.Trim(location))
	if place == "" {
		return ""
	}
	if len(place) > maxLocation {
		place = place[:maxLocation] + "..."
	}
	return "; it led to " + place
}

// withoutSecrets drops from a Location what may hold a secret: query, fragment, user name and password. Only the scheme
// is left of a URL that is neither http nor https. The result is ASCII without control characters.
func withoutSecrets(location string) string {
	if end := strings.IndexAny(location, "?#"); end >= 0 {
		location = location[:end]
	}
	if location == "" {
		return ""
	}
	if u, err := weburl.Parse(location); err == nil {
		return u.Public()
	}
	if scheme := schemes.FindString(location); scheme != "" {
		return scheme
	}
	// It is relative to the URL that answered, which is not repeated here.
	rooted := strings.TrimLeft(location, `/\`)
	switch len(location) - len(rooted) {
	case 0:
		return strings.TrimPrefix(relative(rooted), "/")
	case 1:
		return relative(rooted)
	}
	if u, err := weburl.Parse("https://" + rooted); err == nil {
		return strings.TrimPrefix(u.Public(), "https:")
	}
	return ""
}

// relative returns a path as it is sent, without a host.
func relative(path string) string {
	u, err := weburl.Parse("https://host.invalid/" + path)
	if err != nil {
		return ""
	}
	return u.Path
}
