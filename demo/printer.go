package demo

import (
	"io"
	"sync"
)

// printer writes whole lines, from the player and the receiver at once. It goes on when nobody reads any more.
type printer struct {
	mu sync.Mutex
	to io.Writer
}

func (p *printer) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.to, text+"\n")
}
