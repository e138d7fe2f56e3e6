// Package dialogue plays a written dialogue against a server and compares
// what the server says with what is written. Tests of the protocol engines
// use it.
//
// A dialogue is a text file. Each line is one of:
//
//	C: text       the client sends text and CRLF
//	C! "a\x00b"   the client sends exactly the octets of the Go string
//	C= text       the client sends text, if any, a space, and in base64 what Answer makes of the server's last challenge
//	S: text       the server says exactly text and CRLF
//	S~ regexp     the server says a line that matches the whole regexp, and CRLF
//	S! "text"     the server says exactly the octets of the Go string, whatever lines they form
//	TLS           both shake hands, the client trusting testcert
//	EOF           the server closes the connection
//	# comment     nothing, as an empty line
//
// What the client sends in consecutive lines travels in one write, so that a
// dialogue is pipelined where it looks so.
package dialogue

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// patience is how long each step may take.
const patience = 20 * time.Second

// Answer is the client's side of a mechanism whose messages can't be written
// down, since they hold nonces. conn is a *tls.Conn after the handshake. The
// challenge is what stands in base64 behind the first word of the server's
// last line; nil when the client begins, which it does where text follows C=.
type Answer func(conn net.Conn, challenge []byte) ([]byte, error)

// Run plays the dialogue in the file at path over conn. It ends the test at
// the first difference, and closes conn.
func Run(t testing.TB, conn net.Conn, path string) {
	t.Helper()
	RunWith(t, conn, path, nil)
}

// RunWith is Run for a dialogue with lines C=.
func RunWith(t testing.TB, conn net.Conn, path string, a Answer) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	play(t, &player{conn: conn, in: bufio.NewReader(conn), answer: a}, path, string(text))
}

// Play is Run for a dialogue that is not in a file; name stands for the file
// in messages.
func Play(t testing.TB, conn net.Conn, name, text string) {
	t.Helper()
	play(t, &player{conn: conn, in: bufio.NewReader(conn)}, name, text)
}

// PlayWith is Play for a dialogue with lines C=.
func PlayWith(t testing.TB, conn net.Conn, name, text string, a Answer) {
	t.Helper()
	play(t, &player{conn: conn, in: bufio.NewReader(conn), answer: a}, name, text)
}

func play(t testing.TB, p *player, name, text string) {
	t.Helper()
	defer func() { p.conn.Close() }()
	for i, line := range strings.Split(text, "\n") {
		if err := p.step(strings.TrimSuffix(line, "\r")); err != nil {
			t.Fatalf("%s:%d: %v", name, i+1, err)
		}
	}
	if err := p.send(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

type player struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte // what the client says before it listens again
	last string // what the server said last

	answer Answer
}

func (p *player) step(line string) error {
	verb, arg, _ := strings.Cut(line, " ")
	switch {
	case line == "" || line[0] == '#':
		return nil
	case verb == "C:":
		p.out = append(append(p.out, arg...), "\r\n"...)
		return nil
	case verb == "C!":
		octets, err := strconv.Unquote(arg)
		p.out = append(p.out, octets...)
		return err
	case verb == "C=":
		return p.respond(arg)
	}
	if err := p.send(); err != nil {
		return err
	}
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	switch verb {
	case "S:":
		return p.expectLine(arg)
	case "S~":
		return p.expectMatch(arg)
	case "S!":
		return p.expectOctets(arg)
	case "TLS":
		return p.startTLS()
	case "EOF":
		return p.expectEnd()
	}
	return fmt.Errorf("no such step: %q", line)
}

// respond lets the client answer the last challenge.
func (p *player) respond(text string) error {
	var challenge []byte
	if text == "" {
		_, encoded, _ := strings.Cut(p.last, " ")
		challenge = make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
		n, err := base64.StdEncoding.Decode(challenge, []byte(encoded))
		if err != nil {
			return fmt.Errorf("server said %q, which is no challenge", p.last)
		}
		challenge = challenge[:n]
	} else {
		text += " "
	}
	if p.answer == nil {
		return errors.New("nobody answers")
	}
	response, err := p.answer(p.conn, challenge)
	p.out = append(base64.StdEncoding.AppendEncode(append(p.out, text...), response), "\r\n"...)
	return err
}

func (p *player) send() error {
	if len(p.out) == 0 {
		return nil
	}
	if err := p.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := p.conn.Write(p.out)
	p.out = p.out[:0]
	return err
}

func (p *player) line() (string, error) {
	line, err := p.in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("server said %q, then %w", line, err)
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return "", fmt.Errorf("server said %q, which does not end with CRLF", line)
	}
	p.last = text
	return text, nil
}

func (p *player) expectLine(want string) error {
	got, err := p.line()
	if err == nil && got != want {
		err = fmt.Errorf("server said\n\t%q, not\n\t%q", got, want)
	}
	if err != nil {
		return fmt.Errorf("waiting for %q: %w", want, err)
	}
	return nil
}

func (p *player) expectMatch(pattern string) error {
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	if err != nil {
		return err
	}
	got, err := p.line()
	if err == nil && !re.MatchString(got) {
		err = fmt.Errorf("server said %q", got)
	}
	if err != nil {
		return fmt.Errorf("waiting for a match of %s: %w", pattern, err)
	}
	return nil
}

func (p *player) expectOctets(quoted string) error {
	want, err := strconv.Unquote(quoted)
	if err != nil {
		return err
	}
	got := make([]byte, len(want))
	n, err := io.ReadFull(p.in, got)
	if err == nil && string(got) != want {
		err = errors.New("that is something else")
	}
	if err != nil {
		return fmt.Errorf("waiting for %q, server said %q: %w", want, got[:n], err)
	}
	return nil
}

func (p *player) startTLS() error {
	if n := p.in.Buffered(); n > 0 {
		return fmt.Errorf("server said %d octets more before the handshake", n)
	}
	layer := tls.Client(p.conn, testcert.Client())
	if err := layer.Handshake(); err != nil {
		return err
	}
	p.conn, p.in = layer, bufio.NewReader(layer)
	return nil
}

func (p *player) expectEnd() error {
	line, err := p.in.ReadString('\n')
	switch {
	case line != "":
		return fmt.Errorf("server said %q instead of closing", line)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("server did not close")
	}
	return nil // closed, or reset
}
