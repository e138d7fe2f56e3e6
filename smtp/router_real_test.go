package smtp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

func TestP44DovecotAndOurOwnServerAreBackEndsOfOneMessage(t *testing.T) {
	realtest.Require(t, "dovecot")
	if os.Getuid() != 0 {
		realtest.Missing(t, "root, as Dovecot wants it,")
	}
	dovecot, err := realtest.StartDovecot(t.Context(), 2)
	require.NoError(t, err)
	defer dovecot.Stop()
	b, own := backend(t, LMTP, nil)
	there := mapping.Route{Host: "127.0.0.1", Port: dovecot.LMTP, TLS: mapping.TLSNone}
	r := newRouter(routes{"user0@d.test": there, "gone@d.test": there, "own@d.test": own, "user1@d.test": there})
	r.Front.Backends = func(mapping.Route) proxy.Backend { return proxy.Backend{Tell: proxy.TellXCLIENT} }
	address := start(t, routing(LMTP, r))
	dialogue.Play(t, dial(t, address), t.Name(), lhloToRcpt+`C: RCPT TO:<user0@d.test>
C: RCPT TO:<gone@d.test>
C: RCPT TO:<own@d.test>
C: RCPT TO:<user1@d.test>
S~ 250 .*
S~ 250 .*
S~ 250 .*
S~ 250 .*
`+content+`S~ 250 2.0.0 Accepted as .*
S~ 550 5.1.1 .*
S~ 250 2.0.0 Accepted as .*
S~ 250 2.0.0 Accepted as .*
`)
	require.Equal(t, []string{"own@d.test"}, recipientsOf(b.only(t)))
	for _, user := range []string{"user0", "user1"} {
		text := firstMail(t, dovecot.POP3, user)
		require.Contains(t, text, "hello\r\n")
		require.Contains(t, text, "by mx.example.test with LMTP")
	}
}

// firstMail fetches a user's first message by POP3.
func firstMail(t *testing.T, port int, user string) string {
	nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	require.NoError(t, err)
	defer nc.Close()
	_, err = io.WriteString(nc, "USER "+user+"\r\nPASS pw\r\nRETR 1\r\nQUIT\r\n")
	require.NoError(t, err)
	text, err := io.ReadAll(bufio.NewReader(nc))
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\r\n", "\r\n")
}
