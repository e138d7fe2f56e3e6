package dialogue

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// parrot greets, repeats every line, shakes hands at TLS and closes at QUIT.
func parrot(t *testing.T) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { nc.Close() }()
		_, _ = io.WriteString(nc, "hello\r\n")
		in := bufio.NewReader(nc)
		for {
			line, err := in.ReadString('\n')
			if err != nil || line == "QUIT\r\n" {
				return
			}
			_, _ = io.WriteString(nc, line)
			if line == "TLS\r\n" {
				nc = tls.Server(nc, testcert.Server())
				in = bufio.NewReader(nc)
			}
		}
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	return nc
}

func TestDialogueWithEveryKindOfStep(t *testing.T) {
	Run(t, parrot(t), "testdata/steps.txt")
}

func TestAnswersAreMadeOfTheLastChallenge(t *testing.T) {
	var asked [][]byte
	RunWith(t, parrot(t), "testdata/answers.txt", func(conn net.Conn, challenge []byte) ([]byte, error) {
		asked = append(asked, challenge)
		return append([]byte("re:"), challenge...), nil
	})
	require.Equal(t, [][]byte{nil, []byte("re:"), {}}, asked)
}

func TestDifferencesAreFound(t *testing.T) {
	for _, step := range []string{"S: goodbye", "S~ hel", `S! "help"`, "EOF", "X", "C! x", "S~ (", "C="} {
		p := &player{conn: parrot(t)}
		p.in = bufio.NewReader(p.conn)
		require.Error(t, p.step(step), step)
		p.conn.Close()
	}
}
