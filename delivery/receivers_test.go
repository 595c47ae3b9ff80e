package delivery

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
)

// receiverProgram is one of the programs in docs/receivers.md.
type receiverProgram struct {
	// fence is the language at the head of its block of code.
	fence, file string
	// needs is the interpreter or compiler; build, if any, runs once, and run starts the program; both in its directory.
	needs string
	build []string
	run   func(port string) []string
}

var receiverPrograms = map[string]receiverProgram{
	"JavaScript": {fence: "js", file: "receiver.mjs", needs: "node",
		run: func(string) []string { return []string{"node", "receiver.mjs"} }},
	"Python": {fence: "python", file: "receiver.py", needs: "python3",
		run: func(string) []string { return []string{"python3", "receiver.py"} }},
	"Go": {fence: "go", file: "receiver.go", needs: "go", build: []string{"go", "build", "-o", "receiver", "receiver.go"},
		run: func(string) []string { return []string{"./receiver"} }},
	"PHP": {fence: "php", file: "receiver.php", needs: "php",
		run: func(port string) []string { return []string{"php", "-S", "127.0.0.1:" + port, "receiver.php"} }},
	"Java": {fence: "java", file: "Receiver.java", needs: "javac", build: []string{"javac", "Receiver.java"},
		run: func(string) []string { return []string{"java", "-cp", ".", "Receiver"} }},
}

// Each program is run as it stands on the page, once for each kind of secret.
func TestReceiverOfTheDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/receivers.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range receiverPrograms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code := codeBlock(t, string(page), program.fence)
			if _, err := exec.LookPath(program.needs); err != nil {
				if *node && program.needs == "node" {
					t.Fatal("node is not installed")
				}
				t.Skipf("%s is not installed", program.needs)
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, program.file), []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			if program.build != nil {
				cmd := exec.CommandContext(t.Context(), program.build[0], program.build[1:]...)
				cmd.Dir = dir
				if output, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v: %v\n%s", program.build, err, output)
				}
			}
			for _, secret := range []string{vectorSecret, plainSecret, lookalikeSecret} {
				checkReceiver(t, program, dir, secret)
			}
			checkKeylessReceiver(t, program, dir)
		})
	}
}

// codeBlock returns the one block of that language.
func codeBlock(t *testing.T, page, language string) string {
	t.Helper()
	blocks := strings.Split(page, "\n```"+language+"\n")
	if len(blocks) != 2 {
		t.Fatalf("docs/receivers.md has %d blocks of %s, must have one", len(blocks)-1, language)
	}
	code, _, _ := strings.Cut(blocks[1], "\n```\n")
	return code + "\n"
}

// startPatience is for a virtual machine that starts on a busy one.
const startPatience = time.Minute

// checkReceiver sends a program all requests of the table that are for one secret.
func checkReceiver(t *testing.T, program receiverProgram, dir, secret string) {
	t.Helper()
	r := startReceiver(t, program, dir, secret)
	r.waitUntilItListens(t)
	defer r.stop()
	r.cutShort(t)
	for _, c := range signedRequests {
		if c.secret != secret {
			continue
		}
		req, _ := c.request(t, r.url())
		want := http.StatusUnauthorized
		if c.verified {
			want = http.StatusNoContent
		}
		if got, err := post(t, req); got != want {
			r.stop()
			t.Errorf("%s: status %d, %v, want %d\n%s", c.name, got, err, want, &r.output)
			return
		}
	}
}

// checkKeylessReceiver makes sure that a forgotten secret does not open the door: everybody can sign with an empty key.
func checkKeylessReceiver(t *testing.T, program receiverProgram, dir string) {
	t.Helper()
	r := startReceiver(t, program, dir, secretPrefix)
	defer r.stop()
	pgtest.WaitUntil(t, startPatience, "it listens or ends", func() (bool, string) {
		return r.ended() || r.listens(), "neither"
	})
	req, _ := signedRequest{}.request(t, r.url())
	m, timestamp := newMessage(r.url()), req.Header.Get("webhook-timestamp")
	req.Header.Set("webhook-signature", string(newMAC(nil).append(nil, &m, timestamp)))
	if got, err := post(t, req); err == nil && got < 400 {
		t.Errorf("without a key: status %d", got)
	}
}

// post returns the status of the answer.
func post(t *testing.T, req *http.Request) (int, error) {
	t.Helper()
	resp, err := newTestSender(t).transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// runningReceiver is a program that runs; its output can be read once it was stopped.
type runningReceiver struct {
	port   string
	cmd    *exec.Cmd
	output bytes.Buffer
	done   chan struct{}
}

func startReceiver(t *testing.T, program receiverProgram, dir, secret string) *runningReceiver {
	t.Helper()
	r := &runningReceiver{port: freePort(t), done: make(chan struct{})}
	args := program.run(r.port)
	r.cmd = exec.CommandContext(t.Context(), args[0], args[1:]...)
	r.cmd.Dir = dir
	// Java reads the environment in the locale's encoding.
	r.cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "PORT="+r.port, "WEBHOOK_SECRET="+secret)
	r.cmd.Stdout, r.cmd.Stderr = &r.output, &r.output
	r.cmd.WaitDelay = patience
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait() // it is killed, so always an error
		close(r.done)
	}()
	t.Cleanup(r.stop)
	return r
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func (r *runningReceiver) stop() {
	_ = r.cmd.Process.Kill()
	<-r.done
}

func (r *runningReceiver) url() string { return "http://127.0.0.1:" + r.port + "/hook" }

func (r *runningReceiver) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (r *runningReceiver) listens() bool {
	conn, err := net.DialTimeout("tcp", "127.0.0.1:"+r.port, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

func (r *runningReceiver) waitUntilItListens(t *testing.T) {
	t.Helper()
	pgtest.WaitUntil(t, startPatience, "the receiver listens", func() (bool, string) {
		if r.ended() {
			t.Fatalf("it ended:\n%s", &r.output)
		}
		return r.listens(), "not yet"
	})
}

// cutShort begins a request and goes away, which must not be the end of a receiver.
func (r *runningReceiver) cutShort(t *testing.T) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", "127.0.0.1:"+r.port, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "POST /hook HTTP/1.1\r\nHost: receiver\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
}
