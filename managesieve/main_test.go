package managesieve

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testProxy is a running Proxy that knows one back end, for all but nobody.
type testProxy struct {
	*Proxy
	backend proxy.Backend // how it is reached
	address string
	log     *logged
}

// logged is a log that is read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startProxy starts one in front of a port of loopback, to which everything is
// plain text unless change says otherwise.
func startProxy(t testing.TB, port int, change func(*testProxy)) *testProxy {
	t.Helper()
	p := &testProxy{log: &logged{}, backend: proxy.Backend{TLS: mapping.TLSNone, TLSConfig: testcert.Client(), Tell: proxy.TellXCLIENT}}
	mapper := mapping.MapperFunc(func(_ context.Context, user string) (mapping.Route, error) {
		switch user {
		case "nobody":
			return mapping.Route{}, mapping.ErrNotMapped
		case "unmappable":
			return mapping.Route{}, mapping.ErrUnavailable
		}
		return mapping.Route{Host: "127.0.0.1", Port: port}, nil
	})
	p.Proxy = &Proxy{
		Front:    &proxy.Front{Mapper: mapper, Backends: func(mapping.Route) proxy.Backend { return p.backend }},
		Hostname: "mail.example.test", TLS: testcert.Server(), PlainAuth: netip.Addr.IsLoopback, Sieve: "fileinto vacation",
		SASL:     auth.Policy{Plain: []string{"PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"}},
		Timeouts: Timeouts{AuthDelay: -1}, Limits: Limits{AuthFailures: 20},
		Logger: slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(p)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.address = l.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = p.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		p.Close()
		<-done
		require.Eventually(t, func() bool { return p.Sessions() == 0 }, time.Minute, time.Millisecond)
		require.NotContains(t, p.log.String(), "secret")
	})
	return p
}

func (p *testProxy) dial(t testing.TB) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", p.address)
	require.NoError(t, err)
	require.NoError(t, nc.SetDeadline(time.Now().Add(time.Minute)))
	t.Cleanup(func() { nc.Close() })
	return nc
}

func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			client, backends := dialogue.Parts(t, f)
			p := startProxy(t, dialogue.Backends(t, backends...), nil)
			dialogue.Play(t, p.dial(t), f, client)
		})
	}
}
