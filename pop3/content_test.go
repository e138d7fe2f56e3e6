package pop3

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
)

// odd are contents that framing could damage.
var odd = []string{
	"Subject: a\r\n\r\nbody\r\n", ".\r\n.\r\n..\r\n", "", ".", "\r\n", "no end", "a\r\n\r\n\x00\xff8-bit\r\n", "ends in CR\r",
	"bare LF\n\n.\n..x\nend\n", "lone\rCR\r\n", "\r\r\n.\r\r\n", strings.Repeat("x", 100_000) + "\r\n." + strings.Repeat("y\r\n", 50_000),
	strings.Repeat("z", chunkSize-1) + "\r\n.\r\n", strings.Repeat("z", chunkSize-2) + "\r\n.\r\n", strings.Repeat("z", chunkSize-3) + "\r\n.\r\n",
	strings.Repeat(".\r\n", chunkSize),
}

// whole is what a client gets for content: a CRLF at its end.
func whole(content string) string {
	if content == "" || strings.HasSuffix(content, "\r\n") {
		return content
	}
	return content + "\r\n"
}

func TestContentComesBackAsItIsStored(t *testing.T) {
	s := start(t, odd...)
	c := s.login(t)
	for i, content := range odd {
		require.Equal(t, fmt.Sprintf("+OK %d octets", len(content)), c.ok(fmt.Sprintf("RETR %d", i+1)))
		require.Equal(t, whole(content), c.content(), "message %d", i+1)
		c.ok(fmt.Sprintf("TOP %d 99999999", i+1))
		require.Equal(t, whole(content), c.content(), "top of message %d", i+1)
	}
	c.ok("QUIT")
}

// unstuffed undoes the framing as a client does that knows lines to end in eol.
func unstuffed(t testing.TB, response, eol string) string {
	t.Helper()
	lines := strings.SplitAfter(response, eol)
	require.Equal(t, []string{".\r\n", ""}, lines[len(lines)-2:])
	for i, line := range lines[:len(lines)-2] {
		require.NotEqual(t, "."+eol, line, "an early end")
		require.NotEqual(t, ".\r\n", line, "an early end")
		if strings.HasPrefix(line, ".") {
			lines[i] = line[1:]
		}
	}
	return strings.Join(lines[:len(lines)-2], "")
}

func FuzzStuff(f *testing.F) {
	for _, content := range odd[:11] {
		f.Add([]byte(content))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		var out bytes.Buffer
		require.NoError(t, stuff(&out, message.FromBytes(content), int64(len(content))))
		require.Equal(t, whole(string(content)), unstuffed(t, out.String(), "\n"))
		if !strings.Contains(strings.ReplaceAll(string(content), "\r\n", ""), "\n") {
			require.Equal(t, whole(string(content)), unstuffed(t, out.String(), "\r\n"), "without bare LF every client gets the same")
		}
	})
}

// slowTop is TOP by the letter: the lines up to the first empty one, that one,
// and so many more.
func slowTop(content string, lines int) string {
	var top strings.Builder
	inBody := false
	for line := range strings.SplitAfterSeq(content, "\n") {
		if inBody {
			if lines == 0 {
				break
			}
			lines--
		}
		top.WriteString(line)
		inBody = inBody || line == "\n" || line == "\r\n"
	}
	return top.String()
}

func FuzzTop(f *testing.F) {
	for i, content := range odd[:11] {
		f.Add([]byte(content), i, 7)
	}
	f.Fuzz(func(t *testing.T, content []byte, lines, piece int) {
		lines, piece = max(lines, 0), max(piece, 1)
		want := slowTop(string(content), lines)
		end, err := endOfTop(message.FromBytes(content), lines)
		require.NoError(t, err)
		require.Equal(t, want, string(content[:end]))
		scan := topScan{left: lines} // and in pieces of any size
		for off := 0; off < len(content); off += piece {
			if n, found := scan.find(content[off:min(off+piece, len(content))]); found {
				require.Equal(t, len(want), off+n)
				return
			}
		}
		require.Len(t, want, len(content))
	})
}

func TestTopSendsTheHeaderAndSomeLines(t *testing.T) {
	long := "Subject: x\r\n\r\n" + strings.Repeat("line\r\n", 20_000)
	contents := []string{"A: 1\r\nB: 2\r\n\r\none\r\ntwo\r\nthree", "no body\r\n", "\r\nno header\r\n", "A: 1\n\none\ntwo\n", long}
	s := start(t, contents...)
	c := s.login(t)
	for i, content := range contents {
		for _, lines := range []int{0, 1, 2, 3, 10_000} {
			c.ok(fmt.Sprintf("TOP %d %d", i+1, lines))
			require.Equal(t, whole(slowTop(content, lines)), c.content(), "TOP %d %d", i+1, lines)
		}
	}
}
