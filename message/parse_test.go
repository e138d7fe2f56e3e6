package message

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// crlf writes a message with the line ends of the wire.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func mustParse(t testing.TB, msg string, l Limits) *Part {
	t.Helper()
	p, err := Parse(FromBytes([]byte(msg)), l)
	require.NoError(t, err)
	checkIndex(t, msg, p)
	return p
}

// tree writes an index as one line: type/subtype, and the content of leaves.
func tree(msg string, p *Part) string {
	if len(p.Parts) == 0 {
		return fmt.Sprintf("%s/%s %q", p.Type, p.Subtype, msg[p.Body:p.End])
	}
	var inner []string
	for _, c := range p.Parts {
		inner = append(inner, tree(msg, c))
	}
	return fmt.Sprintf("%s/%s(%s)", p.Type, p.Subtype, strings.Join(inner, ", "))
}

// checkIndex holds the invariants of every index.
func checkIndex(t testing.TB, msg string, root *Part) {
	t.Helper()
	if root.Offset != 0 || root.End != int64(len(msg)) || root.Envelope == nil {
		t.Fatalf("the root is [%d %d %d] of %d octets, envelope %v", root.Offset, root.Body, root.End, len(msg), root.Envelope)
	}
	checkPart(t, msg, root, span{0, int64(len(msg))})
}

func checkPart(t testing.TB, msg string, p *Part, s span) {
	if p.Offset < s.start || p.Body < p.Offset || p.End < p.Body || p.End > s.end {
		t.Fatalf("part [%d %d %d] is not inside [%d %d]", p.Offset, p.Body, p.End, s.start, s.end)
	}
	if n := countContentLines(msg[p.Body:p.End]); n != p.Lines {
		t.Fatalf("part [%d %d %d] has %d lines, not %d", p.Offset, p.Body, p.End, n, p.Lines)
	}
	if !p.wellFormed() || p.Type == "" || p.Subtype == "" || p.Encoding == "" {
		t.Fatalf("%s/%s (%s) with %d parts", p.Type, p.Subtype, p.Encoding, len(p.Parts))
	}
	inner := span{p.Body, p.End}
	for _, c := range p.Parts {
		checkPart(t, msg, c, inner)
		inner.start = c.End
	}
}

func countContentLines(s string) int64 {
	n := strings.Count(s, "\n")
	if s != "" && s[len(s)-1] != '\n' {
		n++
	}
	return int64(n)
}

func TestParseTree(t *testing.T) {
	for _, c := range []struct{ name, msg, want string }{
		{"empty", "", `text/plain ""`},
		{"only an empty line", "\n", `text/plain ""`},
		{"only a header", "Subject: a\n", `text/plain ""`},
		{"only a header without a line end", "Subject: a", `text/plain ""`},
		{"plain", "Subject: a\n\nhello\nworld\n", `text/plain "hello\r\nworld\r\n"`},
		{"no header", "\nhello", `text/plain "hello"`},
		{"type without subtype", "Content-Type: text\n\nx", `text/plain "x"`},
		{"unusable type", "Content-Type: /;;\n\nx", `text/plain "x"`},
		{"two parts", "Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n\none\n--b\nContent-Type: text/html\n\ntwo\n\n--b--\nepilogue\n",
			`multipart/mixed(text/plain "one", text/html "two\r\n")`},
		{"delimiters with white space", "Content-Type: multipart/mixed; boundary=b\n\n--b \t \n\none\n--b-- \n",
			`multipart/mixed(text/plain "one")`},
		{"no closing delimiter", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n",
			`multipart/mixed(text/plain "one\r\n")`},
		{"parts after the closing delimiter do not count", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--b\n\ntwo\n",
			`multipart/mixed(text/plain "one")`},
		{"part of header only", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b\n--b--",
			`multipart/mixed(text/html "", text/plain "")`},
		{"inner multipart without an end", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--a\n\nthree\n--a--\n",
			`multipart/mixed(multipart/alternative(text/plain "one", text/plain "two"), text/plain "three")`},
		{"inner multipart in its header", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n--a--\n",
			`multipart/mixed(multipart/alternative(text/plain ""))`},
		{"inner message in its header", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: message/rfc822\n--a--\n",
			`multipart/mixed(message/rfc822(text/plain ""))`},
		{"message", "Content-Type: message/rfc822\n\nSubject: x\n\nhello", `message/rfc822(text/plain "hello")`},
		{"global message", "Content-Type: message/global\n\nSubject: x\n\nhello", `message/global(text/plain "hello")`},
		{"encoded message", "Content-Type: message/rfc822\nContent-Transfer-Encoding: BASE64\n\nAAAA", `application/octet-stream "AAAA"`},
		{"other message types", "Content-Type: message/delivery-status\n\nA: b\n\nC: d", `message/delivery-status "A: b\r\n\r\nC: d"`},
		{"digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\none\n--b\nContent-Type: text/plain\n\ntwo\n--b\n\nSubject: y\n--b--",
			`multipart/digest(message/rfc822(text/plain "one"), text/plain "two", message/rfc822(text/plain ""))`},
		{"message with a multipart that the outer delimiter ends", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--a\n\ntwo\n--a--",
			`multipart/mixed(message/rfc822(multipart/mixed(text/plain "one")), text/plain "two")`},
		{"the first Content-Type counts", "Content-Type: text/html\nContent-Type: text/css\n\n", `text/html ""`},
		{"folded", "Content-Type:\n multipart/mixed;\n\tboundary=\"b\"\n\n--b\n\none", `multipart/mixed(text/plain "one")`},
		{"white space before the colon", "Content-Type : text/html\n\n", `text/html ""`},
	} {
		t.Run(c.name, func(t *testing.T) {
			msg := crlf(c.msg)
			require.Equal(t, c.want, tree(msg, mustParse(t, msg, Limits{})))
			bare := strings.ReplaceAll(c.want, `\r\n`, `\n`)
			require.Equal(t, bare, tree(c.msg, mustParse(t, c.msg, Limits{})), "with bare LF")
			requireSameWhenStreamed(t, msg, Limits{})
		})
	}
}

// requireSameWhenStreamed parses through a window that is as small as it may
// be.
func requireSameWhenStreamed(t testing.TB, msg string, l Limits) {
	t.Helper()
	want, err := Parse(FromBytes([]byte(msg)), l)
	require.NoError(t, err)
	got, err := parse(reader{FromBytes([]byte(msg))}, l, maxDelimiter+2)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestM03Boundaries(t *testing.T) {
	long := strings.Repeat("x", 1024)
	for _, c := range []struct{ name, msg, want string }{
		{"missing", "Content-Type: multipart/mixed\n\n--\n\none\n----\n", `multipart/mixed(text/plain "")`},
		{"empty", "Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\none\n----\n", `multipart/mixed(text/plain "")`},
		{"never comes", "Content-Type: multipart/mixed; boundary=b\n\n--c\n\none\n", `multipart/mixed(text/plain "")`},
		{"1 KB", "Content-Type: multipart/mixed; boundary=" + long + "\n\n--" + long + "\n\none\n--" + long + "--\n", `multipart/mixed(text/plain "one")`},
		{"equal to the parent's", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b--\n--b\n\ntwo\n--b--\n",
			`multipart/mixed(multipart/alternative(text/plain "one"), text/plain "two")`},
		{"prefix of the parent's", "Content-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--bb\n\ntwo\n--bb--\n",
			`multipart/mixed(multipart/alternative(text/plain "one"), text/plain "two")`},
		{"the parent's is a prefix", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=bb\n\n--bb\n\none\n--bb--\n--b\n\ntwo\n--b--\n",
			`multipart/mixed(multipart/alternative(text/plain "one"), text/plain "two")`},
		{"looks like a regular expression", "Content-Type: multipart/mixed; boundary=\"a.*+(b)?[c]$\"\n\n--aXXb\n--a.*+(b)?[c]$\n\none\n--a.*+(b)?[c]$--", `multipart/mixed(text/plain "one")`},
		{"ends in hyphens", "Content-Type: multipart/mixed; boundary=\"b--\"\n\n--b--\n\none\n--b----", `multipart/mixed(text/plain "one")`},
		{"only hyphens", "Content-Type: multipart/mixed; boundary=\"--\"\n\n----\n\none\n------", `multipart/mixed(text/plain "one")`},
		{"letter case counts", "Content-Type: multipart/mixed; boundary=B\n\n--b\n\none\n--B\n\ntwo\n", `multipart/mixed(text/plain "two\n")`},
		{"not at the start of a line", "Content-Type: multipart/mixed; boundary=b\n\n --b\nx--b\n--b\n\none --b\n", `multipart/mixed(text/plain "one --b\n")`},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, tree(c.msg, mustParse(t, c.msg, Limits{})))
			requireSameWhenStreamed(t, c.msg, Limits{})
		})
	}
}

func TestParseOfWhatIsNotMail(t *testing.T) {
	for name, msg := range map[string]string{
		"I9 mbox line":         ">From alice Mon Jan  1 00:00:00 2024\nSubject: kept\n\nbody\n",
		"I9 From line":         "From alice Mon Jan  1 00:00:00 2024\nSubject: kept\n\nbody\n",
		"line without a colon": "what is this\nSubject: kept\n\nbody\n",
		"8-bit line":           "\xff\xfe\x00\nSubject: kept\n\nbody\n",
		"begins folded":        " continues nothing\nSubject: kept\n\nbody\n",
		"empty name":           ": x\nSubject: kept\n\nbody\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := mustParse(t, msg, Limits{})
			require.Equal(t, "kept", p.Envelope.Subject)
			require.Equal(t, "body\n", msg[p.Body:p.End])
		})
	}
}

func TestM17LoneCRandNULAreContent(t *testing.T) {
	msg := "Subject: a\rb\x00c\r\nX: \r\r\n\r\none\rtwo\nthree\x00\r\r\n"
	p := mustParse(t, msg, Limits{})
	require.Equal(t, "a b c", p.Envelope.Subject)
	require.Equal(t, "one\rtwo\nthree\x00\r\r\n", msg[p.Body:p.End])
	require.EqualValues(t, 2, p.Lines)
}

func TestM16EightBitHeaderIsKept(t *testing.T) {
	p := mustParse(t, "Subject: \xe9t\xe9\nFrom: J\xfcrgen <j@\xc3\xbc.example>\nContent-Type: text/plain; name=\"\xe9\"\n\n", Limits{})
	require.Equal(t, "\xe9t\xe9", p.Envelope.Subject)
	require.Equal(t, []Address{{"J\xfcrgen", "j", "\xc3\xbc.example"}}, p.Envelope.From)
	require.Equal(t, []Param{{"name", "\xe9"}}, p.Params)
}

func TestPartFields(t *testing.T) {
	p := mustParse(t, "Content-Type: TEXT/Html (really); Charset=\"UTF-8\"; format=flowed (x)\nContent-ID: <a@b>\nContent-Description: some\n\tthing\n"+
		"Content-Transfer-Encoding: (c) Quoted-Printable (d)\nContent-MD5: abc==\nContent-Location: http://a/b\n"+
		"Content-Disposition: Attachment; filename=a b.txt; size=3\nContent-Language: en, (x) de-AT\n\n", Limits{})
	require.Equal(t, "text", p.Type)
	require.Equal(t, "html", p.Subtype)
	require.Equal(t, []Param{{"charset", "UTF-8"}, {"format", "flowed"}}, p.Params)
	require.Equal(t, "<a@b>", p.ID)
	require.Equal(t, "some\tthing", p.Description)
	require.Equal(t, "quoted-printable", p.Encoding)
	require.Equal(t, "abc==", p.MD5)
	require.Equal(t, "http://a/b", p.Location)
	require.Equal(t, "attachment", p.Disposition)
	require.Equal(t, []Param{{"filename", "a b.txt"}, {"size", "3"}}, p.DispositionParams)
	require.Equal(t, []string{"en", "de-AT"}, p.Language)
}

func TestEnvelopeTellsEmptyFromAbsent(t *testing.T) {
	e := mustParse(t, "Subject:\nDate: \nSubject: second\nFrom:\n\n", Limits{}).Envelope
	require.True(t, e.HasSubject)
	require.True(t, e.HasDate)
	require.False(t, e.HasID)
	require.False(t, e.HasInReplyTo)
	require.Empty(t, e.Subject)
	require.Nil(t, e.From)
}

func TestEnvelopeOfInnerMessage(t *testing.T) {
	msg := "Subject: outer\nContent-Type: message/rfc822\n\nSubject: inner\nDate: d\nMessage-Id: <i>\nIn-Reply-To: <r>\nFrom: a@b\nSender: c@d\nReply-To: e@f\nTo: g@h\nCc: i@j\nBcc: k@l\n\nx"
	p := mustParse(t, msg, Limits{})
	require.Equal(t, "outer", p.Envelope.Subject)
	require.Equal(t, &Envelope{
		Date: "d", Subject: "inner", InReplyTo: "<r>", MessageID: "<i>",
		From: []Address{{"", "a", "b"}}, Sender: []Address{{"", "c", "d"}}, ReplyTo: []Address{{"", "e", "f"}},
		To: []Address{{"", "g", "h"}}, Cc: []Address{{"", "i", "j"}}, Bcc: []Address{{"", "k", "l"}},
		HasDate: true, HasSubject: true, HasInReplyTo: true, HasID: true,
	}, p.Parts[0].Envelope)
}

func TestParseFailsOnlyWhenReadingFails(t *testing.T) {
	_, err := Parse(brokenBody{100_000}, Limits{})
	require.ErrorIs(t, err, io.ErrClosedPipe)
	_, err = Parse(reader{shortBody{FromBytes([]byte("a: b\n"))}}, Limits{})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

type brokenBody struct{ good int64 }

func (b brokenBody) Size() int64 { return 2 * b.good }
func (b brokenBody) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.good {
		return 0, io.ErrClosedPipe
	}
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

type shortBody struct{ Body }

func (b shortBody) Size() int64 { return b.Body.Size() + 1 }

// TestParseOfRandomLines makes messages of the lines that matter most, in all
// orders, and holds every invariant of their indexes.
func TestParseOfRandomLines(t *testing.T) {
	lines := []string{
		"--a", "--b", "--ab", "--a--", "--b--", "--ab--", "--a ", "--", "", "", "", "x", " x", "x\r", "\r", "Subject: x",
		"Content-Type: multipart/mixed; boundary=a", "Content-Type: multipart/digest; boundary=b", "Content-Type: multipart/mixed; boundary=ab",
		"--a\nContent-Type: multipart/mixed; boundary=ab\n", "--ab\nContent-Type: multipart/digest; boundary=b\n", "--b\nContent-Type: message/rfc822\n",
		"Content-Type: multipart/mixed", "Content-Type: message/rfc822", "Content-Type:", " multipart/mixed; boundary=a", "Content-Transfer-Encoding: base64",
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	shapes := map[string]bool{}
	for range 6_000 {
		var b strings.Builder
		if rnd.IntN(4) > 0 {
			b.WriteString("Content-Type: multipart/mixed; boundary=a\n\n")
		}
		for range rnd.IntN(40) {
			eol := []string{"\n", "\r\n"}[rnd.IntN(2)]
			b.WriteString(strings.ReplaceAll(lines[rnd.IntN(len(lines))], "\n", eol) + eol)
		}
		msg := b.String()
		if rnd.IntN(2) == 0 {
			msg = strings.TrimRight(msg, "\r\n")
		}
		limits := Limits{Depth: rnd.IntN(5), Parts: rnd.IntN(12)}
		p := mustParse(t, msg, limits)
		requireSameWhenStreamed(t, msg, limits)
		const prefix = "Return-Path: <>\r\n"
		require.Equal(t, mustParse(t, prefix+msg, limits), p.Shift(int64(len(prefix))), "%q", msg)
		shapes[shape(p)] = true
	}
	require.Greater(t, len(shapes), 400, "the messages are too much alike")
}

func shape(p *Part) string {
	s := p.Subtype + "("
	for _, c := range p.Parts {
		s += shape(c)
	}
	return s + ")"
}
