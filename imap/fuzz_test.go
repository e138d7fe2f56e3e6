package imap

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// FuzzScanner proves that commands are cut at the same places as a simple
// reference cuts them, whatever arrives in which pieces.
func FuzzScanner(f *testing.F) {
	for _, seed := range seedCommands {
		f.Add([]byte(seed+seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, input []byte, piece uint8) {
		want := referenceCommands(input)
		server, client := net.Pipe()
		c := wire.New(server, wire.Timeouts{})
		defer c.Release()
		defer c.Close()
		go io.Copy(io.Discard, client)
		go func() {
			for rest := input; len(rest) > 0; {
				n := min(len(rest), int(piece)+1)
				if _, err := client.Write(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
			client.Close()
		}()
		s := scanner{conn: c, limits: (Limits{Line: 200, Command: 500, Literals: 4}).withDefaults()}
		for i := 0; ; i++ {
			if s.begin() != nil || s.collect() != nil {
				if i != len(want) {
					t.Fatalf("%q: %d commands, not %d", input, i, len(want))
				}
				return
			}
			if i >= len(want) || string(s.buf) != want[i] {
				t.Fatalf("%q: command %d is %q", input, i, s.buf)
			}
		}
	})
}

// referenceCommands cuts input the slow way, under the limits of FuzzScanner.
func referenceCommands(input []byte) (commands []string) {
	var command []byte
	literals := 0
	for {
		i := bytes.IndexByte(input, '\n')
		if i < 1 || input[i-1] != '\r' || i+1 > 200 {
			return commands
		}
		line := input[:i-1]
		input = input[i+1:]
		command = append(command, line...)
		if len(command) > 500 {
			return commands
		}
		l, ok := announcement(line)
		if !ok {
			commands = append(commands, string(command))
			command, literals = nil, 0
			continue
		}
		if l.size > int64(500-len(command)) || literals >= 4 || l.size > int64(len(input)) {
			return commands
		}
		literals++
		command = append(command, input[:l.size]...)
		input = input[l.size:]
	}
}

// FuzzSearch parses any search and runs it on three messages: it ends, and a
// search and its negation share no message.
func FuzzSearch(f *testing.F) {
	for _, seed := range []string{
		"ALL", "OR SEEN (NOT UNSEEN)", "1:3,*", "UID 1:2 $", "BODY \"x\" TEXT y SUBJECT z", "SENTON 1-Jan-2026 BEFORE \"2-Feb-2027\"",
		"FUZZY (TEXT \"a b\" NOT FROM bob) OR SUBJECT lunch CC x",
		"OR UIDAFTER 1 UIDBEFORE 3", "MODSEQ \"/flags/\\\\seen\" shared 3", "HEADER a b LARGER 5 SMALLER 900", "KEYWORD x UNKEYWORD y", "OLDER 5 YOUNGER 6", "NEW OLD RECENT",
	} {
		f.Add([]byte(seed))
	}
	v := fuzzView(f)
	nobody, peer := net.Pipe()
	peer.Close()
	f.Fuzz(func(t *testing.T, input []byte) {
		p := &parser{buf: input}
		k := (&keyParser{parser: p}).all()
		if p.end() != nil {
			return
		}
		s := quietServer(nil).gate().newSession(wire.New(nobody, wire.Timeouts{}))
		s.view = v
		found, err := s.newRun(v).find(context.Background(), k)
		if err != nil {
			t.Fatal(err)
		}
		others, err := s.newRun(v).find(context.Background(), not(k))
		if err != nil || len(found)+len(others) != v.len() {
			t.Fatalf("%q: %v and %v: %v", input, found, others, err)
		}
	})
}

func fuzzView(t testing.TB) *view {
	store := memory.New()
	for _, text := range []string{plainMessage, mixedMessage, "broken\r\n\r\n\x00\xff"} {
		deliverTo(t, store, "alice", "INBOX", text)
	}
	account, err := store.Account(context.Background(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	box, err := account.Mailbox(context.Background(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	v := &view{box: box}
	if err := v.load(context.Background()); err != nil {
		t.Fatal(err)
	}
	return v
}

// FuzzListMatch compares the matcher with a slow one.
func FuzzListMatch(f *testing.F) {
	for _, seed := range [][2]string{{"*", "a/b"}, {"%", "a/b"}, {"a%/b*", "ab/bc"}, {"inbox", "INBOX"}, {"in%", "INBOX/x"}, {"%*%", ""}, {strings.Repeat("a*", 100), strings.Repeat("ab", 100)}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 200 || len(name) > 60 {
			return
		}
		if name == storage.Inbox || strings.HasPrefix(name, storage.Inbox+"/") {
			return // its letter case is another test's business
		}
		if got, want := newListPattern(pattern).match(name), slowMatch(pattern, name); got != want {
			t.Fatalf("%q %q: %v", pattern, name, got)
		}
	})
}

// slowMatch follows RFC 9051 §6.3.9 word for word.
func slowMatch(pattern, name string) bool {
	reached := map[[2]int]bool{}
	var match func(p, n int) bool
	match = func(p, n int) (ok bool) {
		if reached[[2]int{p, n}] {
			return false
		}
		reached[[2]int{p, n}] = true
		if p == len(pattern) {
			return n == len(name)
		}
		switch c := pattern[p]; {
		case c == '*' || c == '%':
			if match(p+1, n) {
				return true
			}
			return n < len(name) && (c == '*' || name[n] != '/') && match(p, n+1)
		default:
			return n < len(name) && name[n] == c && match(p+1, n+1)
		}
	}
	return match(0, 0)
}

// FuzzSection parses any section and fetches it: what comes is inside the
// message.
func FuzzSection(f *testing.F) {
	for _, seed := range []string{"[]", "[1]", "[1.2.3.MIME]<0.5>", "[HEADER.FIELDS (a b)]", "[3.HEADER.FIELDS.NOT (\"x\")]<9.9>", "[TEXT]<9223372036854775807.9223372036854775807>", "[3.TEXT]"} {
		f.Add(seed)
	}
	root, err := message.Parse(message.FromBytes([]byte(mixedMessage)), message.Limits{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := &parser{buf: []byte(text)}
		s := p.bodySection()
		if p.end() != nil {
			return
		}
		from, to, ok := locate(root, s)
		off, count := cutPartial(s.Partial, to-from)
		if ok && (from < 0 || from > to || to > int64(len(mixedMessage)) || off < 0 || count < 0 || off+count > to-from) {
			t.Fatalf("%q: %d %d %d %d", text, from, to, off, count)
		}
		label := sectionLabel(s)
		if s.HeaderFields == nil && s.HeaderFieldsNot == nil && strings.ContainsAny(label, "\r\n\x00") {
			t.Fatalf("%q: %q", text, label)
		}
	})
}

// FuzzResync parses any parameters of QRESYNC and uses them on a mailbox of
// three messages, with and without tombstones: what it says is gone is not there.
func FuzzResync(f *testing.F) {
	for _, seed := range []string{"(1 1)", "(1 2 1:3)", "(1 3 1,2:3 (1:2 1,3))", "(1 4 (1 1))", "(1 9223372036854775807 4294967295:1 (1:4294967295 1:4294967295))", "(1 1 1:*)", "(1 1 3,1 (2 1,2))"} {
		f.Add([]byte(seed))
	}
	v := fuzzView(f)
	box := v.box
	f.Fuzz(func(t *testing.T, input []byte) {
		p := &parser{buf: input}
		r := p.resync()
		if p.end() != nil {
			return
		}
		for _, v.box = range []storage.Mailbox{box, forgetful{box}} {
			gone, err := v.vanished(context.Background(), &vanishing{since: r.since, known: r.known, match: r.match})
			if err != nil {
				t.Fatal(err)
			}
			if len(common(gone, []imap.SeqRange{{Start: 1, Stop: 3}})) > 0 {
				t.Fatalf("%q: %v is there", input, gone)
			}
		}
	})
}
