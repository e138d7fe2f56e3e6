package smtp

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/posthouse-mail/posthouse/mapping"
)

// script is how a back end behaves: like one, until it does not.
type script struct {
	greeting   string   // empty: it says nothing, ever
	extensions []string // beside those that are always there
	until      string   // the command at which it closes the connection; "." is the end of data
	silent     string   // the command from which on it says nothing
	answers    map[string]string
	heard      *heard
}

// heard is what back ends were told.
type heard struct {
	mu    sync.Mutex
	lines []string
}

func (h *heard) add(line string) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, line)
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.lines...)
}

// scripted serves a script until the test ends.
func scripted(t testing.TB, s script) mapping.Route {
	l := listen(t)
	var wait sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wait.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, nc)
			mu.Unlock()
			wait.Go(func() { defer nc.Close(); s.play(nc) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, nc := range open {
			nc.Close()
		}
		mu.Unlock()
		wait.Wait()
	})
	return to(t, l.Addr().String())
}

func (s *script) play(nc net.Conn) {
	r := bufio.NewReader(nc)
	if s.greeting == "" {
		_, _ = io.Copy(io.Discard, r)
		return
	}
	answer := func(text string) { _, _ = io.WriteString(nc, strings.ReplaceAll(text, "\n", "\r\n")+"\r\n") }
	if answer(s.greeting); s.until == "greeting" {
		return
	}
	data := false
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		if data && line != "." {
			continue
		}
		data = false
		s.heard.add(line)
		verb, _, _ := strings.Cut(line, " ")
		switch text, ok := s.answers[verb]; {
		case verb == s.until:
			return
		case verb == s.silent:
			_, _ = io.Copy(io.Discard, r)
			return
		case ok:
			answer(text)
		case verb == "EHLO" || verb == "LHLO":
			answer("250-" + strings.Join(append([]string{"back"}, s.extensions...), "\n250-") + "\n250 PIPELINING")
		case verb == "DATA":
			data = true
			answer("354 go")
		case verb == "XCLIENT":
			answer("220 again")
		case verb == "AUTH":
			answer("235 in")
		case verb == "QUIT":
			answer("221 bye")
			return
		default:
			answer("250 ok")
		}
	}
}
