package delivery

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// node is what .ci/run says: there a missing library is a failure.
var node = flag.Bool("node", false, "fail, instead of skipping, without node and the official JavaScript library")

const installLibrary = "npm ci --ignore-scripts --prefix delivery/testdata/js"

func TestSignatureIsVerifiedByTheOfficialGoLibrary(t *testing.T) {
	t.Parallel()
	for _, c := range signedRequests {
		req, body := c.request(t, "https://example.org")
		err := verifier(t, c.secret).Verify([]byte(body), req.Header)
		if (err == nil) != c.verified {
			t.Errorf("%s: verified is to be %v: %v", c.name, c.verified, err)
		}
	}
}

func TestSignatureIsVerifiedByTheOfficialJavaScriptLibrary(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("node")
	if err != nil {
		skipWithoutNode(t, "node is not installed")
	}
	if _, err := os.Stat("testdata/js/node_modules/standardwebhooks/package.json"); err != nil {
		skipWithoutNode(t, "the official JavaScript library is not installed; in the repository's root: "+installLibrary)
	}
	for _, c := range signedRequests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			req, body := c.request(t, "https://example.org")
			want := "refused"
			if c.verified {
				want = "verified"
			}
			if got := askJavaScript(t, program, c.secret, req.Header, body); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

func skipWithoutNode(t *testing.T, reason string) {
	t.Helper()
	if *node {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// askJavaScript returns what the official library says of a request, in a process of its own.
func askJavaScript(t *testing.T, program, secret string, header http.Header, body string) string {
	t.Helper()
	flat := make(map[string]string)
	for name := range header {
		flat[name] = header.Get(name)
	}
	input, err := json.Marshal(map[string]any{"secret": secret, "headers": flat, "body": []byte(body)}) // []byte: base64
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "testdata/js/verify.js")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &said
	answer, err := cmd.Output()
	if err != nil {
		t.Fatalf("verify.js: %v\n%s", err, &said)
	}
	return strings.TrimSpace(string(answer))
}

// What docs/receivers.md says of a plain text that is given to a library as if it were whsec_.
func TestOfficialGoLibraryRefusesPlainTextUnlessToldThatItIsRaw(t *testing.T) {
	t.Parallel()
	if _, err := standardwebhooks.NewWebhook(plainSecret); err == nil {
		t.Error("a text that is not base64 is taken")
	}
	c := signedRequest{own: lookalikeSecret}
	req, body := c.request(t, "https://example.org")
	decoded, err := standardwebhooks.NewWebhook(lookalikeSecret)
	if err != nil {
		t.Fatal(err)
	}
	if decoded.Verify([]byte(body), req.Header) == nil {
		t.Error("a text that looks like base64 is not decoded")
	}
}
