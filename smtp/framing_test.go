package smtp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
)

// toMail and toData are beginnings of a dialogue: up to MAIL, and up to where
// content begins.
const (
	toMail = `S~ 220 .*
C: HELO c
S~ 250 .*
`
	envelope = `C: MAIL FROM:<a@d.test>
S~ 250 .*
C: RCPT TO:<b@d.test>
S~ 250 .*
`
	toData = toMail + envelope + "C: DATA\nS~ 354 .*\n"
)

// goesOn is the end of a dialogue whose session went on.
const goesOn = `
C: NOOP
S: 250 2.0.0 OK
C: QUIT
S~ 221 .*
EOF
`

// smuggled is what an attacker wants to be run as commands.
const smuggled = "MAIL FROM:<smuggled@evil.test>\r\nRCPT TO:<victim@d.test>\r\nDATA\r\nevil\r\n.\r\n"

// raw is a step that sends s as it is.
func raw(s string) string { return fmt.Sprintf("C! %q\n", s) }

const refusedBare = "S: 550 5.6.11 Message holds a CR or LF that is not part of CR LF\n"

func TestS01LineFeedDotLineFeedIsNoEndOfData(t *testing.T) {
	b := &box{}
	say(t, newServer(b), toData+raw("x\n.\n"+smuggled)+refusedBare+goesOn)
	require.Empty(t, b.all())
}

func TestS02SmugglingSequencesAreNoEndOfData(t *testing.T) {
	for _, end := range []string{
		"\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n\n.\r\n", "\r\r.\r\r", "\n.\r", "\r.\n", "\r\n\r.\r\n", "\r\n\n.\r\n", "\r\n.\r.\r\n",
	} {
		t.Run(fmt.Sprintf("%q", end), func(t *testing.T) {
			b := &box{}
			say(t, newServer(b), toData+raw("x"+end+smuggled)+refusedBare+goesOn)
			require.Empty(t, b.all())
		})
	}
}

func TestS02NULBesideTheDotIsContent(t *testing.T) {
	for _, end := range []string{"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n. \r\n"} {
		b := &box{}
		say(t, newServer(b), toData+raw("x"+end+smuggled)+"S~ 250 2.0.0 .*\n"+goesOn)
		require.Equal(t, "a@d.test", b.only(t).Envelope.From.String())
		require.Contains(t, b.only(t).text, "MAIL FROM:<smuggled@evil.test>")
	}
}

// A second CR before CRLF "." CRLF must not hide the end: what follows are
// commands again.
func TestEndOfDataAfterCRCRLF(t *testing.T) {
	b := &box{}
	say(t, newServer(b), toData+raw("foo\r\r\n.\r\n")+refusedBare+goesOn)
	require.Empty(t, b.all())
}

func TestS04DotsAreUnstuffedOnce(t *testing.T) {
	b := &box{}
	say(t, newServer(b), toData+raw("..\r\n..text\r\n...\r\n.text\r\nlast\r\n.\r\n")+"S~ 250 .*\n"+goesOn)
	require.Equal(t, ".\r\n.text\r\n..\r\ntext\r\nlast\r\n", b.only(t).text)
}

func TestS04DotBeforeALoneCRIsRefusedNotRepaired(t *testing.T) {
	b := &box{}
	say(t, newServer(b), toData+raw("a\r\n.\rb\r\n.\r\n")+refusedBare+goesOn)
	require.Empty(t, b.all())
}

func TestEmptyMessage(t *testing.T) {
	b := &box{}
	say(t, newServer(b), toData+"C: .\nS~ 250 .*\n"+goesOn)
	require.Empty(t, b.only(t).text)
	require.NotNil(t, b.only(t).Index)
}

func TestContentInSingleOctets(t *testing.T) {
	b := &box{}
	nc := dial(t, start(t, newServer(b)))
	for _, c := range []byte("HELO c\r\nMAIL FROM:<a@d.test>\r\nRCPT TO:<b@d.test>\r\nDATA\r\n..a\r\n.b\r\n\r\n.\r\nQUIT\r\n") {
		_, err := nc.Write([]byte{c})
		require.NoError(t, err)
	}
	all, err := io.ReadAll(nc)
	require.NoError(t, err)
	require.Equal(t, 7, strings.Count(string(all), "\n"), string(all))
	require.Equal(t, ".a\r\nb\r\n\r\n", b.only(t).text)
}

func TestS09CommandLineLengths(t *testing.T) {
	noop := func(n int) string { return "C: NOOP " + strings.Repeat("x", n-len("NOOP \r\n")) + "\n" }
	say(t, newServer(&box{}), "S~ 220 .*\n"+noop(512)+"S~ 250 .*\n"+noop(2048)+"S~ 250 .*\n"+
		noop(2049)+"S: 500 5.5.2 Line too long\nEOF")
}

func TestS09LineWithoutEnd(t *testing.T) {
	say(t, newServer(&box{}), "S~ 220 .*\n"+raw("NOOP "+strings.Repeat("x", 1<<20))+"S: 500 5.5.2 Line too long\nEOF")
}

func TestS12MessageOfExactlyTheLimitIsAccepted(t *testing.T) {
	b := &box{}
	s := newServer(b)
	s.Limits.MessageSize = 10
	say(t, s, toData+"C: 12345678\nC: .\nS~ 250 .*\n"+goesOn)
	require.Len(t, b.only(t).text, 10)
}

func TestS12MessageBeyondTheLimitIsDrained(t *testing.T) {
	b := &box{}
	s := newServer(b)
	s.Limits.MessageSize = 10
	say(t, s, toData+"C: 123456789\nC: QUIT\nC: .\nS: 552 5.3.4 Message too big\n"+goesOn)
	require.Empty(t, b.all())
}

func TestS12LyingSizeIsDrainedInBoundedMemory(t *testing.T) {
	b := &box{}
	s := newServer(b)
	s.Limits.MessageSize = 1 << 20
	s.SpoolDir = t.TempDir()
	c := connect(t, s)
	c.ask("MAIL FROM:<a@d.test> SIZE=10\r\n", "250")
	c.ask("RCPT TO:<b@d.test>\r\n", "250")
	c.ask("DATA\r\n", "354")
	piece := []byte(strings.Repeat("RCPT TO:<x@y.test>\r\n", 5000)) // 100 kB
	before := heap()
	for range 2000 { // 200 MB
		_, err := c.nc.Write(piece)
		require.NoError(t, err)
	}
	require.Less(t, heap(), before+(8<<20), "200 MB of refused content")
	c.ask(".\r\n", "552 5.3.4 ")
	c.ask("NOOP\r\n", "250")
	require.Empty(t, b.all())
}

func TestS12SpoolOfARefusedMessageIsGivenBackAtOnce(t *testing.T) {
	in := &intake{limits: &Limits{MessageSize: 100, Header: 100, HeaderFields: 100}, spool: message.NewSpool(t.TempDir(), 10)}
	in.write([]byte(strings.Repeat("x", 50)))
	in.write([]byte(strings.Repeat("x", 51)))
	require.Equal(t, errTooBig, in.end())
	_, err := in.spool.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, os.ErrClosed)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestChunkWithLongLinesInOnePacket(t *testing.T) {
	b := &box{}
	long := strings.Repeat("x", 100_000) + "\r\n"
	say(t, newServer(b), toMail+envelope+raw(fmt.Sprintf("BDAT %d LAST\r\n%s", len(long), long))+"S~ 250 .*\n"+goesOn)
	require.Equal(t, long, b.only(t).text)
}

func TestBodyLineOfAnyLengthIsAccepted(t *testing.T) {
	b := &box{}
	long := "\r\n" + strings.Repeat("x", 3<<20) + "\r\n"
	say(t, newServer(b), toData+raw(long+".\r\n")+"S~ 250 .*\n"+goesOn)
	require.Equal(t, long, b.only(t).text)
}

func TestM17NULPassesAndLoneLineEndsPassAsBinaryMIME(t *testing.T) {
	b := &box{}
	content := "Subject: x\r\n\r\na\x00b\rc\nd\r\n.\r\n\r"
	say(t, newServer(b), toMail+strings.Replace(envelope, "a@d.test>", "a@d.test> BODY=BINARYMIME", 1)+
		raw(fmt.Sprintf("BDAT 4\r\n%sBDAT %d LAST\r\n%s", content[:4], len(content)-4, content[4:]))+
		"S~ 250 .*\nS~ 250 .*\n"+goesOn)
	require.Equal(t, content, b.only(t).text)
}

func TestM16EightBitHeaderPassesWithoutSMTPUTF8(t *testing.T) {
	b := &box{}
	content := "Subject: \xff\xfe gr\xc3\xbc\xc3\x9fe\r\n\r\n\x80\x00\r\n"
	say(t, newServer(b), toData+raw(content+".\r\n")+"S~ 250 .*\n"+goesOn)
	require.Equal(t, content, b.only(t).text)
}

func TestLoneLineEndsInChunksAreRefused(t *testing.T) {
	for _, chunks := range [][]string{
		{"a\nb"}, {"a\rb"}, {"a\r", "b"}, {"a", "\nb"}, {"\n"}, {"a\r"}, {"a\r\n\r", ""}, {"a\r", "\r\n"},
	} {
		b := &box{}
		c := connect(t, newServer(b))
		c.ask("MAIL FROM:<a@d.test>\r\n", "250")
		c.ask("RCPT TO:<b@d.test>\r\n", "250")
		answer := ""
		for i, chunk := range chunks {
			last := ""
			if i == len(chunks)-1 {
				last = " LAST"
			}
			if answer = c.ask(fmt.Sprintf("BDAT %d%s\r\n%s", len(chunk), last, chunk), ""); strings.HasPrefix(answer, "550") {
				break
			}
		}
		require.Contains(t, answer, "550 5.6.11", "%q", chunks)
		c.ask("BDAT 6 LAST\r\nQUIT\r\n", "503")
		c.ask("NOOP\r\n", "250")
		require.Empty(t, b.all())
	}
}

func TestCRLFAcrossChunksIsWhole(t *testing.T) {
	b := &box{}
	say(t, newServer(b), toMail+envelope+raw("BDAT 2\r\na\rBDAT 2\r\n\nbBDAT 2 LAST\r\n\r\n")+
		"S~ 250 .*\nS~ 250 .*\nS~ 250 .*\n"+goesOn)
	require.Equal(t, "a\r\nb\r\n", b.only(t).text)
}

// client is a connection that said HELO.
type client struct {
	t  testing.TB
	nc net.Conn
	in *bufio.Reader
}

func connect(t testing.TB, s *Server) *client {
	t.Helper()
	return hello(t, dial(t, start(t, s)))
}

func hello(t testing.TB, nc net.Conn) *client {
	t.Helper()
	c := &client{t, nc, bufio.NewReader(nc)}
	c.ask("", "220")
	c.ask("HELO c\r\n", "250")
	return c
}

// ask sends and expects one line that begins with reply.
func (c *client) ask(line, reply string) string {
	c.t.Helper()
	require.NoError(c.t, c.nc.SetDeadline(time.Now().Add(20*time.Second)))
	_, err := io.WriteString(c.nc, line)
	require.NoError(c.t, err)
	answer, err := c.in.ReadString('\n')
	require.NoError(c.t, err, answer)
	require.True(c.t, strings.HasPrefix(answer, reply), "%q is not %s", answer, reply)
	return answer
}

// closed expects that the server closed the connection.
func (c *client) closed() {
	c.t.Helper()
	require.NoError(c.t, c.nc.SetDeadline(time.Now().Add(20*time.Second)))
	rest, err := c.in.ReadString('\n')
	require.Error(c.t, err)
	require.NotErrorIs(c.t, err, os.ErrDeadlineExceeded)
	require.Empty(c.t, rest)
}
