package delivery

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// nodeServer and jdkServer answer a request with its target as it came and as their own parsers decode it, and print
// the port that they listen on.
const nodeServer = `
require('http').createServer((request, response) => {
  request.resume().on('end', () => {
    const url = new URL(request.url, 'http://h')
    const query = [...url.searchParams].map(([name, value]) => name + '=' + value).join('&')
    response.end(request.url + '\n' + decodeURIComponent(url.pathname) + '\n' + query + '\n' +
      request.headers.accept + '\n' + request.headers.host)
  })
}).listen(0, '127.0.0.1', function () { console.log(this.address().port) })
`

const jdkServer = `
import com.sun.net.httpserver.HttpServer;
import java.net.*;
import java.nio.charset.StandardCharsets;

public class Echo {
  public static void main(String[] args) throws Exception {
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext("/", exchange -> {
      exchange.getRequestBody().readAllBytes();
      URI uri = exchange.getRequestURI();
      StringBuilder query = new StringBuilder();
      if (uri.getRawQuery() != null) {
        for (String pair : uri.getRawQuery().split("&")) {
          String[] parts = pair.split("=", 2);
          query.append(query.length() == 0 ? "" : "&")
              .append(URLDecoder.decode(parts[0], StandardCharsets.UTF_8)).append("=")
              .append(parts.length < 2 ? "" : URLDecoder.decode(parts[1], StandardCharsets.UTF_8));
        }
      }
      byte[] body = (uri + "\n" + uri.getPath() + "\n" + query + "\n"
          + exchange.getRequestHeaders().getFirst("Accept") + "\n"
          + exchange.getRequestHeaders().getFirst("Host")).getBytes(StandardCharsets.UTF_8);
      exchange.sendResponseHeaders(200, body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    server.start();
    System.out.println(server.getAddress().getPort());
  }
}
`

// startServer runs a program until the test ends and returns the port that it prints.
func startServer(t *testing.T, needs, file, code string, command ...string) string {
	t.Helper()
	if _, err := exec.LookPath(needs); err != nil {
		t.Skipf("skipped: %s is not installed, and this test is about a server that runs on it", needs)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	var complaints strings.Builder
	cmd.Stderr = &complaints
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("%s did not start: %v\n%s", command, err, &complaints)
	}
	return strings.TrimSpace(port)
}

// typedURLs are what organisers typed after the host, with what arrives: the target, the path and the query decoded.
var typedURLs = map[string]struct{ target, path, query string }{
	"/hook?event=Go Conf": {"/hook?event=Go%20Conf", "/hook", "event=Go Conf"},
	"/hook?miasto=Łódź":   {"/hook?miasto=%C5%81%C3%B3d%C5%BA", "/hook", "miasto=Łódź"},
	"/Łódź/Go Conf/登録?a=😀": {"/%C5%81%C3%B3d%C5%BA/Go%20Conf/%E7%99%BB%E9%8C%B2?a=%F0%9F%98%80",
		"/Łódź/Go Conf/登録", "a=😀"},
	`/{}|"^<>` + "`" + `?q={}|"^<>` + "`'": {"/%7B%7D%7C%22%5E%3C%3E%60?q=%7B%7D%7C%22%5E%3C%3E%60%27", `/{}|"^<>` + "`",
		`q={}|"^<>` + "`'"},
	"/[a]?b[]=1&c[d]=2":               {"/%5Ba%5D?b[]=1&c[d]=2", "/[a]", "b[]=1&c[d]=2"},
	"/a%20b%2Fc?d=%C5%81&e=%2f&f=1+1": {"/a%20b%2Fc?d=%C5%81&e=%2f&f=1+1", "/a b/c", "d=Ł&e=/&f=1 1"},
	"/100%?sale=50%&more=%zz":         {"/100%25?sale=50%25&more=%25zz", "/100%", "sale=50%&more=%zz"},
	`\back\slash?a=\b`:                {"/back/slash?a=%5Cb", "/back/slash", `a=\b`},
	"/a/../b/./%2e%2e/c?x=../y":       {"/c?x=../y", "/c", "x=../y"},
	"/a;v=1/b,c/~d!$&'()*=:@?e=;,/?:@!$": {"/a;v=1/b,c/~d!$&'()*=:@?e=;,/?:@!$", "/a;v=1/b,c/~d!$&'()*=:@",
		"e=;,/?:@!$"},
	"/broken\r\n/line?a=\tb":     {"/broken/line?a=b", "/broken/line", "a=b"},
	"/nul\x00\x1b?a=\x7f\u200bz": {"/nul%00%1B?a=%7F%E2%80%8Bz", "/nul\x00\x1b", "a=\x7f\u200bz"},
	"?only=query":                {"/?only=query", "/", "only=query"},
	"/hook#fragment":             {"/hook", "/hook", ""},
	"":                           {"/", "/", ""},
}

func TestRealServersTakeEveryTypedURL(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]struct {
		start func(*testing.T) string
		// refused are targets that the server answers with 400 when they come as they were typed.
		refused []string
	}{
		"Node": {func(t *testing.T) string { return startServer(t, "node", "echo.js", nodeServer, "node", "echo.js") },
			[]string{"/hook?event=Go Conf", "/nul\x00"}},
		"JDK": {func(t *testing.T) string { return startServer(t, "javac", "Echo.java", jdkServer, "java", "Echo.java") },
			[]string{"/hook?a={b}", "/hook?a=b|c", "/hook?a=b^c", "/100%", "/[a]"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := "127.0.0.1:" + server.start(t)
			s := newTestSender(t)
			for typed, want := range typedURLs {
				for _, url := range []string{"http://" + at + typed, "\ufeff \n http://" + at + typed + " \u200b\u00a0"} {
					x := s.Send(t.Context(), newMessage(url))
					got := printable([]byte(strings.Join([]string{want.target, want.path, want.query, "*/*", at}, "\n")))
					if x.Reason != reasonDelivered || x.Attempt.Response != got {
						t.Errorf("%q: %s %q, want %q", url, x.Attempt.Error, x.Attempt.Response, got)
					}
				}
			}
			for _, target := range server.refused {
				if status := rawTarget(t, at, target); status != http.StatusBadRequest {
					t.Errorf("%q as it stands: status %d, so that it shows nothing that the server takes it encoded", target, status)
				}
			}
		})
	}
}

// rawTarget returns the status of the answer to a request line as it stands.
func rawTarget(t *testing.T, at, target string) int {
	t.Helper()
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", target, at)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer.StatusCode
}
