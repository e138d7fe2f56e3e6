package smtp

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	smtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mail"
)

// slowData is what DATA means, written for clearness alone: the content
// before the end, how many octets it took, and whether it is free of lone CR
// and LF. ok is false when there is no end.
func slowData(stream string) (content string, n int, clean, ok bool) {
	end := strings.Index("\r\n"+stream, "\r\n.\r\n")
	if end < 0 {
		return "", 0, false, false
	}
	content = stream[:end]
	lines := strings.Split(content, "\r\n")
	clean = true
	for i, line := range lines {
		clean = clean && !strings.ContainsAny(line, "\r\n")
		lines[i] = strings.TrimPrefix(line, ".")
	}
	return strings.Join(lines, "\r\n"), end + len(".\r\n"), clean, true
}

// scanInWindows runs the scanner over windows of the given size.
func scanInWindows(stream []byte, window int) (content string, n int, clean, done bool) {
	var s dotScanner
	var b strings.Builder
	for n < len(stream) && !done {
		w := stream[n:min(n+window, len(stream))]
		var k int
		k, done = s.scan(w, func(p []byte) { b.Write(p) })
		n += k
	}
	return b.String(), n, !s.bare, done
}

func FuzzDataReader(f *testing.F) {
	for _, seed := range []string{
		".\r\n", "a\r\n.\r\nQUIT\r\n", "..\r\n.a\r\n.\r\n", "a\r\r\n.\r\n", "\n.\n\r\n.\r\n", ".\r.\r\n.\r\n", "a\r\n.\r", "\r\n\r\n.\r\n", ".\r\r\n.\r\n", "a\r\n.\n.\r\n",
	} {
		f.Add([]byte(seed), 3)
	}
	f.Fuzz(func(t *testing.T, stream []byte, window int) {
		if window < 1 || window > 1<<16 {
			window = 1
		}
		want, wantN, wantClean, wantDone := slowData(string(stream))
		for _, size := range []int{window, 1, 1 << 14} {
			got, n, clean, done := scanInWindows(stream, size)
			require.Equal(t, wantDone, done)
			if !done {
				require.Equal(t, len(stream), n)
				continue
			}
			require.Equal(t, wantN, n)
			require.Equal(t, wantClean, clean)
			if clean {
				require.Equal(t, want, got)
			}
		}
	})
}

func FuzzChunkLines(f *testing.F) {
	f.Add([]byte("a\r\nb\r\n"), 1)
	f.Add([]byte("\r\r\n\n"), 2)
	f.Fuzz(func(t *testing.T, content []byte, window int) {
		if window < 1 || window > 1<<16 {
			window = 1
		}
		var l lineEnds
		for p := content; len(p) > 0; p = p[min(window, len(p)):] {
			l.check(p[:min(window, len(p))])
		}
		rest := strings.ReplaceAll(string(content), "\r\n", "")
		require.Equal(t, !strings.ContainsAny(rest, "\r\n"), l.whole())
	})
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"FROM:<a@b.test> SIZE=1 BODY=8BITMIME", `TO:<"a\"b> x"@d.test> NOTIFY=NEVER ORCPT=rfc822;a+2Bb`, "TO:<@a,@b:c@d>", "FROM:<>", "TO:<postmaster>",
		"FROM:<björn@d.test> SMTPUTF8", `TO:<a@d> ORCPT=utf-8;\x{10FFFF}`, "FROM:<a@b> ENVID=+0D+0A", "FROM: <a@[IPv6:::1]>  RET=FULL  AUTH=<>",
	} {
		f.Add(seed)
	}
	p, err := newServer(&box{}).prepare()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		if strings.ContainsFunc(arg, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return // refused before
		}
		c := &conversation{policy: p, facts: Session{User: "u"}}
		var e mail.Envelope
		if c.parseMail(arg, &e) == nil {
			requireSound(t, e.From, e.Options.UTF8)
			require.False(t, hasControl([]byte(e.Options.EnvelopeID)))
			require.True(t, e.Options.Auth == nil || !hasControl([]byte(*e.Options.Auth)))
			require.True(t, e.Options.Size >= 0 && e.Options.Size <= p.limits.MessageSize)
		}
		var r mail.Recipient
		if c.parseRcpt(arg, true, &r) == nil {
			require.False(t, r.To.IsNull())
			requireSound(t, r.To, true)
			require.False(t, hasControl([]byte(r.Options.OriginalRecipient)))
			require.False(t, hasControl([]byte(r.Options.OriginalRecipientType)))
		}
	})
}

// requireSound proves that an address can be written into another command.
func requireSound(t *testing.T, a mail.Address, utf8 bool) {
	t.Helper()
	require.False(t, hasControl([]byte(a.String())))
	require.True(t, utf8 || isASCII(a.String()))
	again, rest, ok := cutPath("<" + a.String() + "> X=Y")
	require.True(t, ok)
	require.Equal(t, a.String(), again)
	require.Equal(t, " X=Y", rest)
}

// slowSession is what a session means: the messages that a client's octets
// hold. It knows no limits but those of lines.
func slowSession(in string, c *conversation) (messages []string) {
	var helo, open, chunked, binary bool
	var content string
	var recipients int
	var e mail.Envelope
	reset := func() { open, chunked, content, recipients, e = false, false, "", 0, mail.Envelope{} }
	for {
		line, rest, found := strings.Cut(in, "\n")
		text, whole := strings.CutSuffix(line, "\r")
		if !found || !whole || len(line) >= maxAuthLine || strings.Contains(text, "\r") {
			return messages
		}
		in = rest
		verb, arg, _ := strings.Cut(text, " ")
		if foreign([]byte(verb)) || len(line)+1 > 2048 && !strings.EqualFold(verb, "AUTH") {
			return messages
		}
		if verbOf([]byte(verb)) == "" || hasControl([]byte(arg)) {
			continue
		}
		arg = strings.Trim(arg, " ")
		switch strings.ToUpper(verb) {
		case "HELO", "EHLO":
			if validHelo(arg) {
				helo = true
				reset()
			}
		case "RSET":
			if arg == "" {
				reset()
			}
		case "QUIT":
			if arg == "" {
				return messages
			}
		case "MAIL":
			var next mail.Envelope
			if helo && !open && c.parseMail(arg, &next) == nil {
				open, e, binary = true, next, next.Options.Body == smtp.BodyBinaryMIME
			}
		case "RCPT":
			if open && !chunked && c.parseRcpt(arg, e.Options.UTF8, &mail.Recipient{}) == nil {
				recipients++
			}
		case "DATA":
			if arg != "" || !open || chunked || recipients == 0 || binary {
				continue
			}
			body, n, clean, ok := slowData(in)
			if !ok {
				return messages
			}
			if clean {
				messages = append(messages, body)
			}
			in = in[n:]
			reset()
		case "BDAT":
			piece, last, ok := slowChunk(arg, in)
			if !ok {
				return messages
			}
			in = in[len(piece):]
			if !open || recipients == 0 {
				continue
			}
			chunked = true
			content += piece
			bare := hasLone(content, last)
			if binary {
				bare = hasLone(slowHeader(content), false)
			}
			switch {
			case bare:
				reset()
			case last:
				messages = append(messages, content)
				reset()
			}
		}
	}
}

// slowChunk takes the octets of a BDAT from the beginning of in.
func slowChunk(arg, in string) (piece string, last, ok bool) {
	digits, word, last := strings.Cut(arg, " ")
	size, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || last && !strings.EqualFold(word, "LAST") || size > 50<<20 || uint64(len(in)) < size {
		return "", false, false
	}
	return in[:size], last, true
}

// hasLone reports a CR or LF that is no part of CRLF; a CR at the end of what
// is not complete may still become one.
func hasLone(content string, complete bool) bool {
	if !complete {
		content = strings.TrimSuffix(content, "\r")
	}
	return strings.ContainsAny(strings.ReplaceAll(content, "\r\n", ""), "\r\n")
}

// slowHeader is content up to its first empty line.
func slowHeader(content string) (header string) {
	for line := range strings.Lines(content) {
		header += line
		if line == "\r\n" || line == "\n" {
			break
		}
	}
	return header
}

func FuzzSession(f *testing.F) {
	const begin = "EHLO c\r\nMAIL FROM:<a@d.test>\r\nRCPT TO:<b@d.test>\r\n"
	for _, seed := range []string{
		begin + "DATA\r\nx\r\n..\r\n.\r\nQUIT\r\n", begin + "DATA\r\nx\n.\r\n" + smuggled + "NOOP\r\n", begin + "BDAT 3\r\na\r\nBDAT 1 LAST\r\nbQUIT\r\n",
		"HELO x\r\nMAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<b@d>\r\nBDAT 9 LAST\r\nA: b\r\n\r\n\n", "GET / HTTP/1.1\r\n", "STARTTLS\r\nNOOP\r\n", "AUTH PLAIN\r\n*\r\n",
		begin + "RSET\r\n" + begin + "DATA\r\n.\r\n", "\x16\x03\x01\n", "NOOP\n", begin + "DATA\r\nReceived: x\r\n\r\n.\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 100_000 {
			return
		}
		b := &box{}
		s := newServer(b)
		s.TLS, s.Auth = nil, nil
		s.Limits.Errors, s.Limits.Commands, s.Limits.Recipients = 1<<30, 1<<30, 1<<30
		p, err := s.prepare()
		require.NoError(t, err)
		server, peer := net.Pipe()
		w := wire.New(server, s.Timeouts.wire())
		ended, drained := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			newConversation(p, w).run(context.Background())
			w.Close()
			w.Release()
		}()
		go func() {
			defer close(drained)
			_, _ = io.Copy(io.Discard, peer)
		}()
		_, _ = peer.Write(in) // the server may hang up before the end
		peer.Close()
		<-ended
		<-drained
		var got []string
		for _, m := range b.all() {
			got = append(got, m.text)
		}
		require.Equal(t, slowSession(string(in), &conversation{policy: p}), got)
	})
}
