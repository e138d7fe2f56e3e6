package pop3

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

var quitsAfterDele = regexp.MustCompile(`(?is)DELE.*QUIT`)

func FuzzSession(f *testing.F) {
	f.Add([]byte("USER alice\r\nPASS pw\r\nRETR 1\r\nTOP 2 1\r\nDELE 3\r\nQUIT\r\n"))
	f.Add([]byte("AUTH PLAIN AGFsaWNlAHB3\r\nLIST\r\nUIDL\r\nRSET\r\nLIST 9\r\n"))
	f.Add([]byte("CAPA\r\nSTLS\r\n\x16\x03\x01\x00"))
	f.Add([]byte("AUTH LOGIN\r\nYWxpY2U=\r\ncHc=\r\nDELE 1\r\nRSET\r\nSTAT\r\nNOOP\nQUIT\r\n"))
	f.Add([]byte("USER alice\nPASS pw\nDELE 1\nDELE 2\nUIDL 1"))
	f.Fuzz(func(t *testing.T, input []byte) {
		s := &testServer{store: memory.New()}
		s.Server = &Server{
			Store: s.store, Auth: auth.AuthenticatorFunc(users), Hostname: "mail.example.test", TLS: testcert.Server(),
			PlainAuth: func(netip.Addr) bool { return true }, Timeouts: Timeouts{AuthDelay: -1}, Logger: slog.New(slog.DiscardHandler),
		}
		for _, m := range threeMessages {
			s.deliver(t, m)
		}
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			c := wire.New(server, s.Timeouts.wire())
			defer c.Release()
			defer c.Close()
			s.gate().serve(context.Background(), c)
		}()
		said := bufio.NewReader(client)
		first, err := said.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "+OK mail.example.test POP3 server ready\r\n", first)
		drained := make(chan struct{})
		go func() { defer close(drained); _, _ = io.Copy(io.Discard, said) }()
		_, _ = client.Write(input)
		client.Close()
		<-done
		<-drained
		require.Empty(t, s.drops.open, "the maildrop is given back")
		if !quitsAfterDele.Match(input) {
			require.Equal(t, 3, s.count(t), "nothing but DELE and QUIT deletes")
		}
	})
}
