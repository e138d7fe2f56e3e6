package imap

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/proxy"
)

// FuzzBackEnd lets a back end say anything from its greeting on, in pieces.
// Every login ends, and what the client is told of it is one line, or two when
// the first has capabilities.
func FuzzBackEnd(f *testing.F) {
	for _, seed := range []string{
		"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR ID] x\r\n* ID (\"a\" {3}\r\nb\r\n)\r\np1 OK y\r\np2 OK [CAPABILITY A B] z\r\n",
		"* OK x\r\n* CAPABILITY IMAP4rev1\r\np1 OK\r\n+ a\r\n+ b\r\np2 NO [LIMIT] no\r\n", "* PREAUTH x\r\n", "* BYE [REFERRAL imap://a@b:1/] x\r\n",
		"* OK [CAPABILITY AUTH=XOAUTH2 AUTH=OAUTHBEARER] x\r\n+ \r\n+ e30=\r\np1 NO [REFERRAL imap://a;AUTH=*@[::1]:1/] x\r\n",
		"* OK [CAPABILITY AUTH=PLAIN] x\r\n+ \r\np1 OK [ALERT] x\x00\xff\ry\r\n* CAPABILITY\x01A\r\np2 OK\r\n", "+OK\r\n", "* OK [\r\n* CAPABILITY\r\np1 OK\r\n",
	} {
		f.Add([]byte(seed), byte(40), byte(0))
		f.Add([]byte(seed), byte(3), byte(1))
	}
	f.Fuzz(func(t *testing.T, input []byte, piece, how byte) {
		near, far := net.Pipe()
		c := wire.New(near, wire.Timeouts{})
		defer c.Release()
		defer c.Close()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		go func() {
			defer far.Close()
			for rest := input; len(rest) > 0; {
				n := min(len(rest), int(piece)+1)
				if _, err := far.Write(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
		}()
		words := []proxy.Words{{Mechanism: "PLAIN", User: "alice", Secret: "pä"}, {Mechanism: "XOAUTH2", User: "alice", Secret: "t"}, {Mechanism: "PLAIN", User: "a", As: "b", Secret: "c"}}
		told := tellLogin(&backend{conn: c, budget: maxBackendTalk}, words[int(how)%len(words)])
		lines := bytes.SplitAfter(told, []byte("\r\n"))
		if len(lines) > 3 || len(lines) == 3 && !bytes.HasPrefix(lines[0], []byte("* CAPABILITY ")) {
			t.Fatalf("%q", told)
		}
		if bytes.ContainsAny(bytes.ReplaceAll(told, []byte("\r\n"), nil), "\r\n\x00") || len(told) > 3*maxBackendLine {
			t.Fatalf("%q", told)
		}
	})
}

// tellLogin logs in and returns what the client is sent.
func tellLogin(b *backend, w proxy.Words) []byte {
	o := &output{}
	at, err := (*arrival)(nil), b.greeting()
	if err == nil {
		err = b.needCapabilities()
	}
	if err == nil && b.has("ID") {
		err = b.tellID([]idField{{name: "name", value: "x"}, {name: "y", null: true}})
	}
	if err == nil {
		at, err = b.logIn(w)
	}
	if err != nil {
		reply, _ := answer(authAnswer(err, PassRefusals))
		o.status("a", string(reply.Type), string(reply.Code), reply.Text)
		return o.b
	}
	if at.caps != "" {
		o.capabilities(at.caps)
	}
	o.status("a", "OK", at.code, at.text)
	return o.b
}

// TestBackEndsWordsAreCutShort holds what a log may get of a back end.
func TestBackEndsWordsAreCutShort(t *testing.T) {
	r := parseResponse([]byte("p1 NO [X] " + strings.Repeat("x", 5000)))
	err := refused(r, proxy.Words{Mechanism: "PLAIN", User: "alice", Secret: "secret"})
	if len(err.Error()) > 2*maxQuotedWords {
		t.Fatal(len(err.Error()))
	}
}
