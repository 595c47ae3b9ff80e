package delivery

import (
	"net"
	"sync"
)

// maxFirstBytes is how much of an answer is remembered in case it turns out not to be HTTP.
const maxFirstBytes = 512

// firstBytes is a connection that remembers the first bytes of the current answer. An HTTP client says little about an
// answer that it cannot parse; its first bytes tell a mail server from a proxy. firstBytes knows nothing about
// HTTP, and works for any client that reads from a net.Conn.
type firstBytes struct {
	net.Conn
	mu   sync.Mutex // the client may read in another goroutine
	size int
	kept [maxFirstBytes]byte
}

// Read implements net.Conn.
func (c *firstBytes) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.mu.Lock()
		c.size += copy(c.kept[c.size:], p[:n])
		c.mu.Unlock()
	}
	return n, err
}

// forget begins a new answer: the connection is used again.
func (c *firstBytes) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size = 0
}

// first returns a copy of the first bytes that were read since forget, at most maxFirstBytes.
func (c *firstBytes) first() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]byte(nil), c.kept[:c.size]...)
}
