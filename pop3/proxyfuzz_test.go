package pop3

import (
	"io"
	"net"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/proxy"
)

// FuzzBackend lets a back end say anything, and looks at what becomes of it.
func FuzzBackend(f *testing.F) {
	f.Add([]byte("+OK [XCLIENT] ready\r\n+OK\r\nSASL PLAIN\r\nUSER\r\n.\r\n+OK In\r\n"))
	f.Add([]byte("+OK\n-ERR\n+OK\n-ERR [AUTH] no\n"))
	f.Add([]byte("+OK\r\n+OK\r\nSASL PLAIN\r\n.\r\n+ e30=\r\n-ERR [IN-USE]\r\n"))
	f.Add([]byte("-ERR [SYS/TEMP"))
	f.Add([]byte("+OK\n-ERR\n+OK\nhidden\n"))
	f.Add([]byte("+OK\n-ERR\n-ERR [hidden] hidden\n"))
	f.Fuzz(func(t *testing.T, says []byte) {
		near, far := net.Pipe()
		go func() {
			_, _ = far.Write(says)
			far.Close()
		}()
		defer near.Close()
		b := newBackend(wire.New(readOnly{near}, wire.Timeouts{}))
		defer b.conn.Release()
		err := b.banner()
		if err == nil {
			err = b.capabilities()
		}
		text := ""
		if err == nil {
			text, err = b.logIn(proxy.Words{Mechanism: "PLAIN", User: "alice", Secret: "hidden"})
		}
		if err == nil {
			requireLine(t, text)
			return
		}
		requireLine(t, (&session{gate: &gate{}}).heard(err))
		if banner, _, _ := strings.Cut(string(says), "\n"); !strings.Contains(banner, "hidden") {
			require.NotContains(t, err.Error(), "hidden")
		}
	})
}

// heard is what a client hears of an error.
func (n *session) heard(err error) string {
	text, _ := n.refusal(err)
	return text
}

func requireLine(t *testing.T, text string) {
	t.Helper()
	require.False(t, strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }), "%q", text)
	require.LessOrEqual(t, len(text), 400)
}

// readOnly is a connection on which nobody waits for what is written.
type readOnly struct{ net.Conn }

func (readOnly) Write(p []byte) (int, error) { return io.Discard.Write(p) }
