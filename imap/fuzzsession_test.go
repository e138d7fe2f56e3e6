package imap

import (
	"bytes"
	"compress/flate"
	"context"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/wire"
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
	"a CAPABILITY\r\nb CHECK\r\nc UNSELECT\r\n", "a STARTTLS\r\n", "a EXAMINE INBOX (CONDSTORE)\r\n", "a SUBSCRIBE INBOX\r\nb UNSUBSCRIBE \"Other Users/bob/Box\"\r\n", "a UID MOVE 1 Sent\r\n",
	"a UID STORE 1:* (UNCHANGEDSINCE 1) FLAGS (\\Deleted)\r\nb CLOSE\r\n", "a COPY 1:* \"Other Users/bob/Box\"\r\n",
}

// TestEveryCommandHasASeed keeps the fuzz targets up with the table of commands.
func TestEveryCommandHasASeed(t *testing.T) {
	seeded := map[string]bool{}
	for _, seed := range seedCommands {
		for line := range strings.Lines(seed) {
			o := open([]byte(strings.TrimSuffix(line, "\r\n")))
			seeded[o.name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(commands)) {
		require.True(t, seeded[name], "%s has no seed", name)
	}
}

// preludes lead to the states that a session can be in.
var preludes = []string{
	"",
	"z LOGIN alice secret\r\n",
	"z LOGIN alice secret\r\nz SELECT INBOX\r\n",
	"z LOGIN alice secret\r\nz EXAMINE INBOX\r\n",
	"z LOGIN alice secret\r\nz SELECT \"Other Users/bob/Box\"\r\n",
	"z LOGIN alice secret\r\nz ENABLE QRESYNC\r\nz SELECT INBOX\r\n",
	"z LOGIN alice secret\r\nz ENABLE UIDONLY\r\nz SELECT INBOX\r\n",
	"z LOGIN alice secret\r\nz ENABLE IMAP4rev2\r\nz SELECT INBOX\r\n",
	"z LOGIN alice secret\r\nz ENABLE UTF8=ACCEPT\r\nz SELECT INBOX\r\n",
	"z LOGIN alice secret\r\nz ENABLE QRESYNC UIDONLY IMAP4rev2 UTF8=ACCEPT\r\nz SELECT INBOX\r\n",
	"z LOGIN alice secret\r\nz NOTIFY SET STATUS (selected (MessageNew (UID BODY.PEEK[1]) MessageExpunge FlagChange)) (personal (MailboxName SubscriptionChange MessageNew MessageExpunge FlagChange)) (subtree \"Other Users\" (MailboxName))\r\nz SELECT INBOX\r\n",
	"z LOGIN alice secret\r\nz SELECT INBOX\r\n" + compressNow,
}

// compressNow ends a prelude after which everything is compressed.
const compressNow = "z COMPRESS DEFLATE\r\n"

// FuzzSession sends anything to a session in each state. No session may panic,
// hang, or write what is no response.
func FuzzSession(f *testing.F) {
	for i, seed := range seedCommands {
		f.Add(byte(i%len(preludes)), []byte(seed))
		f.Add(byte(2+i%(len(preludes)-2)), []byte(seed+"b NOOP\r\n"+seed))
	}
	for state := range preludes {
		f.Add(byte(state), []byte(strings.Join(seedCommands[5:], "")))
	}
	f.Fuzz(func(t *testing.T, state byte, input []byte) {
		prelude := preludes[int(state)%len(preludes)]
		if err := checkResponses(converse(t, fuzzServer(t), prelude, input)); err != nil {
			t.Fatalf("after %q: %v", input, err)
		}
	})
}

// TestEverySeedIsAnsweredInEveryState has what FuzzSession begins with run
// through all states.
func TestEverySeedIsAnsweredInEveryState(t *testing.T) {
	for _, prelude := range preludes {
		for _, seed := range seedCommands {
			output := converse(t, fuzzServer(t), prelude, []byte(seed))
			require.NoError(t, checkResponses(output), "%q after %q", seed, prelude)
		}
	}
}

func fuzzServer(t testing.TB) *Server {
	store := memory.New()
	deliverTo(t, store, "alice", "INBOX", plainMessage)
	deliverTo(t, store, "alice", "INBOX", mixedMessage)
	deliverTo(t, store, "alice", "INBOX", "Subject: br\"oken\xff\x00\r\nFrom: \"a\\\r\nContent-Type: text/\r\n\r\n\x00\xff\rx\ny")
	s := quietServer(store)
	s.QuotaAdmin = func(string) bool { return true }
	sharing(s)
	allow(t, store, "bob", "Box", "alice", "lrswite")
	deliverTo(t, store, "bob", "Box", plainMessage)
	return s
}

// converse lets a session read input and then the end, and returns its output.
func converse(t testing.TB, s *Server, prelude string, input []byte) []byte {
	server, client := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := wire.New(server, s.Timeouts.wire())
		defer c.Release()
		defer c.Close()
		s.gate().serve(context.Background(), c)
	}()
	output := &watched{compressed: make(chan struct{})}
	go func() { // the pipe has no half-close: LOGOUT or an unfinished line ends it
		client.SetDeadline(time.Now().Add(20 * time.Second))
		rest := slices.Concat(input, []byte("\r\nDONE\r\nzz LOGOUT\r\n"))
		io.WriteString(client, prelude)
		if strings.HasSuffix(prelude, compressNow) {
			<-output.compressed // what comes before the answer ends the session
			rest = deflate(rest)
		}
		client.Write(rest)
		time.AfterFunc(50*time.Millisecond, func() { client.Close() })
	}()
	io.Copy(output, client)
	client.Close()
	output.end()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("session hangs after %q", input)
	}
	return output.all.Bytes()
}

func deflate(b []byte) []byte {
	var z bytes.Buffer
	w, _ := flate.NewWriter(&z, flate.BestSpeed)
	w.Write(b)
	w.Flush()
	return z.Bytes()
}

// watched keeps what a session writes and says when it begins to compress.
type watched struct {
	all        bytes.Buffer
	compressed chan struct{} // closed then, or at the end
	told       bool
}

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.all.Write(b)
	if bytes.HasSuffix(w.all.Bytes(), []byte("z OK DEFLATE active\r\n")) {
		w.end()
	}
	return n, err
}

func (w *watched) end() {
	if !w.told {
		close(w.compressed)
		w.told = true
	}
}

// fuzzArguments parses the arguments of some commands, whatever they are:
// parsing ends, and nothing is refused once and let through another time.
func fuzzArguments(f *testing.F, names ...string) {
	for i, name := range names {
		for _, seed := range seedCommands {
			for line := range strings.SplitSeq(seed, "\r\n") {
				if o := open([]byte(line)); o.name == name {
					f.Add(byte(i), byte(i), []byte(line[o.args:]))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, which, mode byte, input []byte) {
		name := names[int(which)%len(names)]
		first := parseArguments(name, mode, input)
		if again := parseArguments(name, mode, input); (first == nil) != (again == nil) {
			t.Fatalf("%s%q: %v, then %v", name, input, first, again)
		}
	})
}

// parseArguments parses arguments in which "{n}" CR LF stands for literals, as
// a session does.
func parseArguments(name string, mode byte, input []byte) error {
	s := scanner{buf: nil, limits: Limits{}.withDefaults()}
	for rest := append([]byte("a "+name), input...); ; {
		line, after, more := bytes.Cut(rest, []byte("\r\n"))
		from := len(s.buf)
		s.buf = append(s.buf, line...)
		l, ok := announcement(s.buf[from:])
		if !ok || !more || l.size > int64(len(after)) {
			break
		}
		l.mark, l.start = l.mark+from, len(s.buf)
		s.lits, s.buf = append(s.lits, l), append(s.buf, after[:l.size]...)
		rest = after[l.size:]
	}
	p := &parser{buf: s.buf, lits: s.lits, pos: len("a " + name), utf8: mode&1 != 0, uidOnly: mode&2 != 0, noCharset: mode&4 != 0}
	commands[name].parse(p)
	return p.end()
}

func FuzzSessionArguments(f *testing.F) {
	fuzzArguments(f, "CAPABILITY", "NOOP", "LOGOUT", "ID", "LANGUAGE", "STARTTLS", "AUTHENTICATE", "LOGIN", "ENABLE", "COMPRESS", "IDLE", "UNAUTHENTICATE", "CHECK", "CLOSE", "UNSELECT")
}

func FuzzMailboxArguments(f *testing.F) {
	fuzzArguments(f, "SELECT", "EXAMINE", "CREATE", "DELETE", "RENAME", "SUBSCRIBE", "UNSUBSCRIBE", "LIST", "LSUB", "NAMESPACE", "STATUS", "NOTIFY")
}

func FuzzAccessArguments(f *testing.F) {
	fuzzArguments(f, "GETMETADATA", "SETMETADATA", "GETQUOTA", "GETQUOTAROOT", "SETQUOTA", "SETACL", "DELETEACL", "GETACL", "LISTRIGHTS", "MYRIGHTS")
}

func FuzzMessageArguments(f *testing.F) {
	fuzzArguments(f, "FETCH", "STORE", "COPY", "MOVE", "EXPUNGE", "UID FETCH", "UID STORE", "UID COPY", "UID MOVE", "UID EXPUNGE")
}

func FuzzSearchArguments(f *testing.F) {
	fuzzArguments(f, "SEARCH", "SORT", "THREAD", "ESEARCH", "CANCELUPDATE", "UID SEARCH", "UID SORT", "UID THREAD")
}
