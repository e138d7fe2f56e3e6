package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// stub is a back end that lets everybody in at once, so that it is the proxies
// whose work is measured. It tells its capabilities where real servers do.
type stub struct {
	imap, pop3 net.Listener
}

// What it sends: messages of 50 KB, as many as FETCH 1:n asks for, and for
// FETCH 1 a literal that nobody reads to its end.
const (
	bodySize = 50 << 10
	hugeSize = 1 << 30
	stubCaps = "IMAP4rev1 LITERAL+ SASL-IR ID AUTH=PLAIN"
)

func startStub() (*stub, error) {
	s := &stub{}
	var err error
	if s.imap, err = serveStub("* OK [CAPABILITY "+stubCaps+"] ready\r\n", (*stubSession).imap); err != nil {
		return nil, err
	}
	if s.pop3, err = serveStub("+OK ready\r\n", (*stubSession).pop3); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *stub) stop() {
	s.imap.Close()
	if s.pop3 != nil {
		s.pop3.Close()
	}
}

func serveStub(greeting string, answer func(s *stubSession, line string) bool) (net.Listener, error) {
	l, err := (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				s := &stubSession{nc: nc}
				s.serve(greeting, answer)
			}()
		}
	}()
	return l, nil
}

// stubSession is one connection.
type stubSession struct {
	nc   net.Conn
	tag  string // of a command that is not complete
	room [512]byte
	have int // octets in room
}

// serve answers line by line until the client has gone or answer returns false.
func (s *stubSession) serve(greeting string, answer func(s *stubSession, line string) bool) {
	s.say(greeting)
	for s.have < len(s.room) {
		n, err := s.nc.Read(s.room[s.have:])
		if err != nil {
			return
		}
		s.have += n
		for {
			line, rest, ok := bytes.Cut(s.room[:s.have], []byte("\r\n"))
			if !ok {
				break
			}
			if !answer(s, string(line)) {
				return
			}
			s.have = copy(s.room[:], rest)
		}
	}
}

func (s *stubSession) say(text string) { _, _ = s.nc.Write([]byte(text)) }

// imap answers a line, which may be the middle of a command whose end was
// announced as a literal.
func (s *stubSession) imap(line string) bool {
	tag, command, _ := strings.Cut(line, " ")
	literal := strings.HasSuffix(line, "}")
	switch {
	case s.tag == "" && (literal || strings.EqualFold(command, "AUTHENTICATE PLAIN")):
		s.tag = tag
		s.say("+ go on\r\n")
		return true
	case literal:
		s.say("+ go on\r\n")
		return true
	case s.tag != "":
		tag, command, s.tag = s.tag, "LOGIN", ""
	}
	word, arguments, _ := strings.Cut(strings.TrimPrefix(command, "UID "), " ")
	switch strings.ToUpper(word) {
	case "LOGIN", "AUTHENTICATE":
		s.say(tag + " OK [CAPABILITY " + stubCaps + "] Logged in\r\n")
	case "LOGOUT":
		s.say("* BYE Logging out\r\n" + tag + " OK Logout completed\r\n")
		return false
	case "CAPABILITY":
		s.say("* CAPABILITY " + stubCaps + "\r\n" + tag + " OK done\r\n")
	case "FETCH":
		return s.fetch(tag, arguments)
	default:
		s.say(tag + " OK done\r\n")
	}
	return true
}

// fetch sends bodies, all in one piece: no client here looks at them.
func (s *stubSession) fetch(tag, arguments string) bool {
	set, _, _ := strings.Cut(arguments, " ")
	_, last, several := strings.Cut(set, ":")
	n, _ := strconv.Atoi(last)
	piece := []byte(fmt.Sprintf("* 1 FETCH (BODY[] {%d}\r\n%s)\r\n", bodySize, strings.Repeat("x", bodySize)))
	if !several {
		s.say(fmt.Sprintf("* 1 FETCH (BODY[] {%d}\r\n", hugeSize))
		n, piece = hugeSize/bodySize, bytes.Repeat([]byte("x"), bodySize)
	}
	for range n {
		if _, err := s.nc.Write(piece); err != nil {
			return false
		}
	}
	s.say(tag + " OK done\r\n")
	return several
}

func (s *stubSession) pop3(line string) bool {
	word, _, _ := strings.Cut(line, " ")
	switch strings.ToUpper(word) {
	case "CAPA":
		s.say("+OK\r\nUSER\r\nSASL PLAIN\r\nUIDL\r\nTOP\r\nPIPELINING\r\n.\r\n")
	case "QUIT":
		s.say("+OK bye\r\n")
		return false
	default:
		s.say("+OK done\r\n")
	}
	return true
}
