package weburl_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"attendee-relay/internal/weburl"
)

// pieces are what random URLs are made of; where the standard is at its oddest, there are more of them.
var pieces = []string{
	"h.example", "example.com", "büch.de", "Łódź", "faß.de", "xn--bcher-kva.de", "。", "ａ.example", "1.2.3.4", "0x7f.1",
	"0x", "256", "0177", "4294967295", "09", "[::1]", "[::ffff:1.2.3.4]", "[1:2:3:4:5:6:7::]", "[fe80::1%25lo]", "[", "]",
	"%", "%2", "%2e", "%2E", "%zz", "%41", "%c3%a9", "%00", "%5B", "/", "//", "/../", "/./", "/..", "/.", "?", "#", "\\",
	"@", ":", ":443", ":80", ":0", ":8443", ":65536", ":99999", ":x", "user", "user:pass@", "a", "é", "登録", "😀", "|", "{",
	"}", "^", "`", "\"", "<", ">", "'", " ", "\t", "\n", "\r", "_", "-", "--", ".", "..", "+", "~", "!", "$", "&", "=",
	";",
	"(", ")", "*", ",", "\x00", "\x1f", "\x7f", "\u0085", "\u00a0", "\u00ad", "\u200b", "\u200d", "\u2028", "\ufeff", "ß",
	"İ", "K",
}

func randomURL(r *rand.Rand) string {
	url := []string{"http://", "https://", "HTTPS://", "https:", "https:/", "https:///", `http:\\`, "ftp://",
		""}[min(r.IntN(30), 8)]
	if url == "" {
		url = "https://"
	}
	if r.IntN(3) > 0 {
		url += "h.example" + []string{"/", "?", "/a?", ""}[r.IntN(4)]
	}
	for range r.IntN(8) {
		url += pieces[r.IntN(len(pieces))]
	}
	return url
}

// asNodeReads prints, for each URL of a JSON array, where Node's own parser, which follows the standard to the letter,
// would send; what RFC 3986 does not allow is then encoded. What the standard leaves at the ends is dropped before.
const asNodeReads = `
const encode = (text, raw) => text.replace(raw, c => '%' + c.charCodeAt(0).toString(16).toUpperCase())
  .replace(/%(?![0-9A-Fa-f]{2})/g, '%25')
for (const text of JSON.parse(require('fs').readFileSync(0, 'utf8'))) {
  let read = null
  try {
    const u = new URL(text)
    const query = u.href.split('#')[0].includes('?') ? '?' + encode(u.search.slice(1), /[{}|^` + "`" + `\\]/g) : ''
    if (/^https?:$/.test(u.protocol)) {
      read = [u.host, encode(u.pathname, /[\[\]|^]/g) + query, String(u.username + u.password !== '')]
    }
  } catch {}
  console.log(JSON.stringify(read))
}`

func TestURLsAreReadAsNodeReadsThem(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("skipped: node is not installed, and its URL parser is what this test compares with")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	urls := make([]string, 30_000)
	for i := range urls {
		urls[i] = weburl.Trim(randomURL(r))
	}
	input, _ := json.Marshal(urls)
	node := exec.CommandContext(t.Context(), "node", "-e", asNodeReads)
	node.Stdin = bytes.NewReader(input)
	output, err := node.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	if len(lines) != len(urls) {
		t.Fatalf("node read %d of %d URLs", len(lines), len(urls))
	}
	read, differ := 0, 0
	// Node 20 forgets to resolve dot segments in a path that has a segment such as ".a" before them.
	unresolved := regexp.MustCompile(`^[^?]*/(\.|%2[eE]){1,2}(/|\?|$)`)
	for i, line := range lines {
		var want []string
		if err := json.Unmarshal([]byte(line), &want); err != nil {
			t.Fatal(err)
		}
		var got []string
		if u, err := weburl.Parse(urls[i]); err == nil {
			got = []string{u.Authority(), u.Target(), map[bool]string{true: "true", false: "false"}[u.Credentials]}
			read++
		}
		if strings.Join(got, " ") != strings.Join(want, " ") && (len(want) == 0 || !unresolved.MatchString(want[1])) {
			if differ++; differ <= 20 {
				t.Errorf("%q\n got %q\nnode %q", urls[i], got, want)
			}
		}
	}
	if read < len(urls)/3 {
		t.Errorf("only %d of %d URLs could be read: the test says little", read, len(urls))
	}
	t.Logf("%d of %d URLs read, %d differ", read, len(urls), differ)
}
