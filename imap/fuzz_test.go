package imap

import (
	"bytes"
	"compress/flate"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

var seedCommands = []string{
	"a LOGIN alice secret\r\n", "a LOGIN {5}\r\nalice {6+}\r\nsecret\r\n", "a AUTHENTICATE PLAIN\r\nAGFsaWNlAHNlY3JldA==\r\n", "a ID (\"a\" NIL)\r\n",
	"a SELECT INBOX\r\n", "a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (a* %b) RETURN (STATUS (MESSAGES) CHILDREN)\r\n", "a LSUB \"\" %\r\n", "a CREATE x/y (USE (\\Sent))\r\n",
	"a RENAME x z\r\n", "a DELETE z\r\n", "a STATUS INBOX (MESSAGES SIZE)\r\n", "a APPEND INBOX (\\Seen) \" 1-Jan-2026 00:00:00 +0000\" {3+}\r\nabc {2+}\r\nde\r\n",
	"a IDLE\r\nDONE\r\n", "a NOTIFY SET STATUS (SELECTED (MessageNew (UID BODY.PEEK[]) MessageExpunge FlagChange)) (SUBTREE (a \"b\") (MailboxName))\r\n", "a ENABLE IMAP4rev2\r\n", "a FETCH 1:* (FLAGS UID ENVELOPE BODYSTRUCTURE BODY[1.MIME]<1.5> BODY[HEADER.FIELDS (to \"x\")] BINARY.SIZE[1])\r\n",
	"a UID FETCH *:1 FULL\r\n", "a STORE 1 -FLAGS.SILENT (x \\Seen)\r\n", "a UID COPY 1:2 Sent\r\n", "a MOVE 2 Trash\r\n", "a EXPUNGE\r\n", "a UID EXPUNGE 1\r\n", "a CLOSE\r\n",
	"a SEARCH RETURN (MIN SAVE) CHARSET UTF-8 OR (NOT FROM a) SENTSINCE 1-Jan-2026 $ BODY {1+}\r\nx\r\n", "a NOOP {5+}\r\nb LOG\r\n",
	"a APPEND Sent (\\Seen) CATENATE (URL \"/INBOX/;UID=2/;SECTION=1.MIME\" TEXT {2+}\r\nab URL {6+}\r\n;UID=1) {1+}\r\nx\r\n",
	"a REPLACE 1 INBOX (\\Draft) ~{1+}\r\n\x00\r\n", "a UID REPLACE 2 Sent CATENATE (URL \";UID=2\" UTF8 (~{2+}\r\nab))\r\n",
	"a COMPRESS DEFLATE\r\n", "a ENABLE UTF8=ACCEPT IMAP4rev2\r\nb APPEND Sent UTF8 (~{2+}\r\nab)\r\nc SEARCH CHARSET UTF-8 ALL\r\n", "a CREATE e\u0301\r\n",
	"a FETCH 1:2 (EMAILID THREADID SAVEDATE PREVIEW (LAZY))\r\n", "a FETCH 2 PREVIEW (LAZY)\r\n", "a SEARCH SAVEDSINCE 1-Jan-2026 OR EMAILID M1 THREADID T1 SAVEDATESUPPORTED\r\n",
	"a SETMETADATA INBOX (/private/a ~{3+}\r\na\x00b /shared/b \"x\" /private/c NIL)\r\nb GETMETADATA (MAXSIZE 2 DEPTH infinity) INBOX (/private /shared/b)\r\n",
	"a GETMETADATA \"\" (DEPTH 1) /private\r\n", "a LIST \"\" * RETURN (METADATA (DEPTH 1) (/private \"/shared/x\"))\r\n", "a GETQUOTAROOT INBOX\r\n",
	"a SETQUOTA \"\" (STORAGE 1 MESSAGE 2)\r\nb GETQUOTA {0+}\r\n\r\n", "a STATUS INBOX (DELETED DELETED-STORAGE)\r\n", "a LANGUAGE de en-GB\r\n",
	"a SORT RETURN (UPDATE CONTEXT PARTIAL -1:-2 COUNT) (REVERSE DATE SUBJECT DISPLAYTO) UTF-8 OR FUZZY TEXT \"a b\" ALL\r\n", "a UID SORT (FROM CC SIZE) US-ASCII ALL\r\n",
	"a THREAD REFERENCES UTF-8 ALL\r\n", "a UID THREAD ORDEREDSUBJECT UTF-8 1:*\r\n", "a CANCELUPDATE \"a\"\r\n", "a UID FETCH 1:* FLAGS (PARTIAL -1:-50)\r\n",
	"a UID SEARCH RETURN (UPDATE RELEVANCY SAVE) FUZZY SUBJECT lunch\r\n", "a ESEARCH IN (mailboxes (INBOX x) subtree-one Work selected) RETURN (MIN) SUBJECT x\r\n", "\r\n", "+ x\r\n", "a LOGOUT\r\n",
	"a ENABLE QRESYNC UIDONLY\r\n", "a SELECT INBOX (CONDSTORE QRESYNC (1 5 1:3,5 (1:2 1,3)))\r\n", "a UID FETCH 1:* (FLAGS MODSEQ) (CHANGEDSINCE 2 VANISHED)\r\n",
	"a STORE 1 (UNCHANGEDSINCE 2) +FLAGS.SILENT (x)\r\n", "a SEARCH RETURN (MIN) MODSEQ \"/flags/x\" all 2\r\n", "a UNAUTHENTICATE\r\n",
	"a SETACL INBOX {3+}\r\nbob +lrcd\r\n", "a DELETEACL INBOX -x\r\n", "a GETACL INBOX\r\n", "a LISTRIGHTS INBOX anyone\r\n",
	"a MYRIGHTS \"Other Users/bob/Box\"\r\n", "a SELECT \"Other Users/bob/Box\"\r\na STORE 1 FLAGS (x)\r\na COPY 1 INBOX\r\n", "a LIST \"Other Users/\" (% *) RETURN (MYRIGHTS)\r\n", "a NAMESPACE\r\n",
}

// FuzzSession sends anything to a session in each state. No session may
// panic, hang, or write what is no line or literal.
func FuzzSession(f *testing.F) {
	for i, seed := range seedCommands {
		f.Add(byte(i%3), []byte(seed))
		f.Add(byte(2), []byte(seed+"b NOOP\r\n"+seed))
	}
	f.Add(byte(2), []byte(strings.Join(seedCommands[5:], "")))
	f.Fuzz(func(t *testing.T, state byte, input []byte) {
		store := memory.New()
		deliverTo(t, store, "alice", "INBOX", plainMessage)
		deliverTo(t, store, "alice", "INBOX", mixedMessage)
		s := quietServer(store)
		s.QuotaAdmin = func(string) bool { return true }
		sharing(s)
		allow(t, store, "bob", "Box", "alice", "lrsi")
		deliverTo(t, store, "bob", "Box", plainMessage)
		prelude := []string{"", "z LOGIN alice secret\r\n", "z LOGIN alice secret\r\nz SELECT INBOX\r\n"}[state%3]
		converse(t, s, prelude, input)
	})
}

// converse lets a session read input and then the end, and checks its output.
func converse(t *testing.T, s *Server, prelude string, input []byte) {
	server, client := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := wire.New(server, s.Timeouts.wire())
		defer c.Release()
		defer c.Close()
		s.serve(context.Background(), c)
	}()
	go func() { // the pipe has no half-close: LOGOUT or an unfinished line ends it
		client.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(client, prelude)
		client.Write(input)
		io.WriteString(client, "\r\nDONE\r\nzz LOGOUT\r\n")
		time.AfterFunc(50*time.Millisecond, func() { client.Close() })
	}()
	output, _ := io.ReadAll(client)
	client.Close()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("session hangs after %q", input)
	}
	checkOutput(t, output)
}

// checkOutput takes output apart into lines and literals.
func checkOutput(t *testing.T, output []byte) {
	for len(output) > 0 {
		i := bytes.IndexByte(output, '\n')
		if i < 0 {
			return // the client went away
		}
		line := output[:i+1]
		if len(line) < 2 || line[i-1] != '\r' {
			t.Fatalf("not a line: %q", line)
		}
		text := line[:i-1]
		if bytes.IndexByte(text, 0) >= 0 || bytes.IndexByte(text, '\r') >= 0 {
			t.Fatalf("control character in a line: %q", text)
		}
		output = output[i+1:]
		if bytes.HasSuffix(text, []byte(" OK DEFLATE active")) {
			output, _ = io.ReadAll(flate.NewReader(bytes.NewReader(output)))
		}
		if l, ok := announcement(text); ok {
			if l.size > int64(len(output)) {
				return
			}
			output = output[l.size:]
		}
	}
}

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
	f.Fuzz(func(t *testing.T, input []byte) {
		p := &parser{buf: input}
		k := (&keyParser{parser: p}).all()
		if p.end() != nil {
			return
		}
		s := &session{server: quietServer(nil), view: v, limits: Limits{}.withDefaults()}
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
