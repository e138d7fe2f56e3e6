package dialogue

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// backendMark begins the part of a file that is played by a back end.
const backendMark = "=== backend"

// Parts splits a file into the dialogue with a client and, each behind a line
// "=== backend", those of the back ends that are connected to meanwhile.
func Parts(t testing.TB, path string) (client string, backends []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), backendMark+"\n")
	return parts[0], parts[1:]
}

// Backends listens on loopback until the test ends and plays a dialogue from
// the server's side with each connection in turn: it says what stands behind
// S: and expects what stands behind C:. A dialogue that differs, and one that
// nobody connected for, fail the test; connections beyond them are closed. It
// returns the port.
func Backends(t testing.TB, dialogues ...string) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for i := 0; ; i++ {
			nc, err := l.Accept()
			switch {
			case err != nil && i < len(dialogues):
				t.Errorf("back end was connected to %d times, not %d", i, len(dialogues))
				return
			case err != nil:
				return
			case i >= len(dialogues):
				t.Errorf("back end was connected to more than %d times", len(dialogues))
				nc.Close()
				continue
			}
			running.Go(func() {
				if err := host(nc, dialogues[i]); err != nil {
					t.Errorf("back end %d: %v", i+1, err)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}

// host plays a dialogue from the server's side and closes the connection.
func host(nc net.Conn, text string) error {
	p := &player{conn: nc, in: bufio.NewReader(nc)}
	defer func() { p.conn.Close() }()
	for i, line := range strings.Split(text, "\n") {
		if err := p.hostStep(line); err != nil {
			return fmt.Errorf("line %d: %s: %w", i+1, line, err)
		}
	}
	return nil
}

func (p *player) hostStep(line string) error {
	verb, arg, _ := strings.Cut(line, " ")
	if err := p.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	switch {
	case line == "" || line[0] == '#':
		return nil
	case verb == "S:":
		_, err := io.WriteString(p.conn, arg+"\r\n")
		return err
	case verb == "S!":
		octets, err := strconv.Unquote(arg)
		if err == nil {
			_, err = io.WriteString(p.conn, octets)
		}
		return err
	case verb == "C:":
		return p.expectOf("^"+regexp.QuoteMeta(arg)+"$", arg)
	case verb == "C~":
		return p.expectOf("^(?:"+arg+")$", arg)
	case verb == "TLS":
		return p.hostTLS()
	case verb == "EOF": // the client closes
		return p.clientEnds()
	}
	return errors.New("no such step")
}

func (p *player) expectOf(pattern, want string) error {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	line, err := p.in.ReadString('\n')
	if text := strings.TrimSuffix(line, "\r\n"); err == nil && (text == line || !re.MatchString(text)) {
		err = errors.New("that is something else")
	}
	if err != nil {
		return fmt.Errorf("waiting for %q, client said %q: %w", want, line, err)
	}
	return nil
}

func (p *player) hostTLS() error {
	layer := tls.Server(p.conn, testcert.Server())
	if err := layer.Handshake(); err != nil {
		return err
	}
	p.conn, p.in = layer, bufio.NewReader(layer)
	return nil
}

func (p *player) clientEnds() error {
	line, err := p.in.ReadString('\n')
	switch {
	case line != "":
		return fmt.Errorf("client said %q instead of closing", line)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("client did not close")
	}
	return nil // closed, or reset
}
