package message

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// quickly fails when f needs far more time than anything linear does here, even
// on a busy machine, and far less than anything quadratic.
func quickly(t *testing.T, f func()) {
	t.Helper()
	start := time.Now()
	f()
	took := time.Since(start)
	t.Log("took", took.Round(time.Millisecond))
	require.Less(t, took, 20*time.Second)
}

func TestM01HundredThousandNestedMultiparts(t *testing.T) {
	var b strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	msg := b.String()
	quickly(t, func() {
		p := mustParse(t, msg, Limits{})
		require.Equal(t, 101, depth(p))
		require.Equal(t, 101, countParts(p))
		for len(p.Parts) > 0 {
			p = p.Parts[0]
		}
		require.Equal(t, "application/octet-stream", p.Type+"/"+p.Subtype)
		require.True(t, strings.HasPrefix(msg[p.Body:p.End], "--b100\r\n"), "the rest belongs to the last leaf")
		require.EqualValues(t, len(msg), p.End)
	})
}

func TestM01TenThousandNestedMessages(t *testing.T) {
	msg := strings.Repeat("From: a@b\nContent-Type: message/rfc822\n\n", 10_000) + "Subject: end\n\nx"
	quickly(t, func() {
		p := mustParse(t, msg, Limits{})
		require.Equal(t, 101, depth(p))
		_, err := DecodePart(mustEncode(t, p))
		require.NoError(t, err)
		p = mustParse(t, msg, Limits{Depth: 1 << 30})
		require.Equal(t, 1001, depth(p))
		_, err = DecodePart(mustEncode(t, p))
		require.NoError(t, err)
	})
}

// TestI10NestingIsLinear parses what takes a quadratic parser seconds.
func TestI10NestingIsLinear(t *testing.T) {
	msg := strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 20_000)
	quickly(t, func() { mustParse(t, msg, Limits{Depth: 1000}) })
}

func TestM02MillionParts(t *testing.T) {
	msg := "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 1_000_000) + "--b--\n"
	quickly(t, func() {
		p := mustParse(t, msg, Limits{})
		require.Equal(t, 10_000, countParts(p))
		last := p.Parts[len(p.Parts)-1]
		require.True(t, strings.HasSuffix(msg[last.Body:last.End], "--b\n\nx"), "the rest belongs to the last leaf")
		require.Equal(t, 3*(1_000_000-len(p.Parts)+1)-2, int(last.Lines))
	})
}

func TestPartLimitHoldsForContainers(t *testing.T) {
	msg := "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\nContent-Type: message/rfc822\n\n\n", 100)
	for n := 1; n < 20; n++ {
		require.Equal(t, n, countParts(mustParse(t, msg, Limits{Parts: n})))
	}
	msg = "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\nContent-Type: multipart/mixed; boundary=x\n\n\n", 100)
	for n := 1; n < 20; n++ {
		require.Equal(t, n, countParts(mustParse(t, msg, Limits{Parts: n})))
	}
}

func TestDelimiterFloodInsideManyMultiparts(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%d\n\n--%d\n", i, i)
	}
	b.WriteString("\n" + strings.Repeat("--x\n", 1<<18))
	quickly(t, func() { mustParse(t, b.String(), Limits{}) })
}

func TestM06HundredThousandAddresses(t *testing.T) {
	list := strings.Repeat("Jane Doe <jane@example.org>, ", 100_000)
	quickly(t, func() {
		p := mustParse(t, "From: "+list+"\nTo: "+list+"\nSubject: x\n\n", Limits{Header: 1 << 26})
		require.Len(t, p.Envelope.From, 10_000)
		require.Len(t, p.Envelope.To, 10_000)
		require.Equal(t, "x", p.Envelope.Subject)
		p = mustParse(t, "From: "+list+"\nSubject: x\n\nbody", Limits{})
		require.Len(t, p.Envelope.From, 10_000)
		require.False(t, p.Envelope.HasSubject, "beyond the octets that are looked at")
		require.EqualValues(t, 4, p.End-p.Body)
	})
}

func TestM06AddressFloodsAreLinear(t *testing.T) {
	const n = 1 << 18
	for _, piece := range []string{"(", "((", ")", "\\", "(\\", `"`, `"" `, `"\"`, "<", ">", "<>", "@", "a@", "a@b ", ",", ";", ":", "a:", "[", "@[", " ", "a ", "a b@c ",
		"=?", "=?a?q?", "=?a?q?b?= ", "=?a?q?b?=", "<@a,", "<@a:", "()", ".", "a.", "<a ", "x <y@z> ", "\x00", "\xff", "(a) ", "a\t\t"} {
		s := strings.Repeat(piece, n/len(piece))
		start := time.Now()
		parseAddresses(s, n)
		require.Less(t, time.Since(start), 10*time.Second, "%q", piece)
	}
}

func TestM05ParameterFloodsAreLinear(t *testing.T) {
	const n = 1 << 18
	for _, piece := range []string{"a", "a=b;", "a*0=b;", "a*=%41;", "%", "%%", "%41", " (", "a=b (", "((", `"`, `"" `, `a="`, "a= ", "=", ";", "; ", "a b", "a b=", "\\", "a=(", "a=x (y) ", "'"} {
		s := "text/plain; x=y " + strings.Repeat(piece, n/len(piece))
		start := time.Now()
		_, _, params := parseContentType(s, 1000)
		parseLanguages(s, 1000)
		parseDisposition("a; x*=utf-8'"+s, 100)
		require.Less(t, time.Since(start), 10*time.Second, "%q", piece)
		require.LessOrEqual(t, len(params), 1000)
	}
}

func TestM05HundredThousandSections(t *testing.T) {
	var b strings.Builder
	b.WriteString("Content-Type: text/plain")
	for i := range 100_000 {
		fmt.Fprintf(&b, ";\r\n name*%d*=%%41", i)
	}
	b.WriteString("\r\n\r\nbody")
	quickly(t, func() {
		p := mustParse(t, b.String(), Limits{})
		require.Equal(t, []Param{{"name", strings.Repeat("A", 100)}}, p.Params)
	})
}

func TestS27LineOfTenMegabytes(t *testing.T) {
	line := strings.Repeat("x", 10<<20)
	for _, msg := range []string{
		"Subject: " + line + "\r\nTo: a@b\r\n\r\nbody",
		line + "\r\nTo: a@b\r\n\r\nbody",
		"X: y\r\n " + line + "\r\n\r\nbody",
		line + ": y\r\n\r\nbody",
	} {
		quickly(t, func() {
			p := mustParse(t, msg, Limits{})
			require.Equal(t, "body", msg[p.Body:p.End])
			require.LessOrEqual(t, len(p.Envelope.Subject), 1<<20)
			requireSameWhenStreamed(t, msg, Limits{})
		})
	}
}

func TestS27HundredThousandFields(t *testing.T) {
	header := strings.Repeat("Subject: x\r\n", 100_000)
	quickly(t, func() {
		p := mustParse(t, header+"\r\nbody", Limits{})
		require.Equal(t, "x", p.Envelope.Subject)
		n := 0
		for range Fields([]byte(header)) {
			n++
		}
		require.Equal(t, 100_000, n)
	})
}

func TestHeadersTogetherAreBounded(t *testing.T) {
	header := "Subject: " + strings.Repeat("x", 900) + "\nFrom: " + strings.Repeat("a@b,", 20) + "\n\n"
	msg := "Content-Type: multipart/digest; boundary=b\n\n" + strings.Repeat("--b\n\n"+header+"\n", 100)
	p := mustParse(t, msg, Limits{Header: 1000, Address: 10})
	subjects, addresses := 0, 0
	for _, part := range p.Parts {
		subjects += len(part.Parts[0].Envelope.Subject)
		addresses += len(part.Parts[0].Envelope.From)
	}
	require.Len(t, p.Parts, 100)
	require.LessOrEqual(t, subjects, 16_000)
	require.Greater(t, subjects, 10_000)
	require.Equal(t, 40, addresses)
}

func TestParseOfALargeFileHoldsLittle(t *testing.T) {
	big := zeros(100 << 20)
	require.Less(t, testing.AllocsPerRun(1, func() {
		p, err := Parse(big, Limits{})
		require.NoError(t, err)
		require.EqualValues(t, 100<<20, p.End)
	}), 50.0)
}

// zeros is a body of one line.
type zeros int64

func (z zeros) Size() int64 { return int64(z) }
func (z zeros) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	return len(p), nil
}
