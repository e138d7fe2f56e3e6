package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// BenchmarkIdlePair reports the resident memory of a front end for each idle
// session that it relays, in KiB. The goals are 8 without TLS and 18 with TLS to
// the client. The floor is two goroutines in Read; "relay" is what it costs not
// to hand the session over.
func BenchmarkIdlePair(b *testing.B) {
	for _, how := range []string{"plain", "tls", "plain-relay", "tls-relay", "plain-floor"} {
		for _, pairs := range []int{2000, 8000} {
			b.Run(fmt.Sprintf("%s/%d", how, pairs), func(b *testing.B) {
				for b.Loop() {
					b.ReportMetric(idlePair(b, how, pairs), "KiB/pair")
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func idlePair(b *testing.B, how string, pairs int) float64 {
	b.Helper()
	c := startChild(b, how, backEnd(b))
	connect := func() net.Conn {
		nc, err := net.Dial("tcp", c.addr)
		require.NoError(b, err)
		if how[:3] == "tls" {
			config := testcert.Client()
			config.InsecureSkipVerify = true // the child has a certificate of its own
			nc = tls.Client(nc, config)
		}
		return reached(b, nc)
	}
	for range 50 { // what is paid once
		connect()
	}
	before := c.resident(b)
	for range pairs {
		connect()
	}
	return float64(c.resident(b)-before) / float64(pairs) / 1024
}

// BenchmarkBulk sends much through this package's relay, HAProxy in TCP mode and
// nginx's mail proxy, in turns, and reports the medians. The goal is 0.95 of the
// better of both.
func BenchmarkBulk(b *testing.B) {
	for _, clients := range []int{1, 8} {
		b.Run(fmt.Sprintf("%d clients", clients), func(b *testing.B) { bulk(b, clients, 512<<20) })
	}
}

func bulk(b *testing.B, clients, total int) {
	back := backEnd(b)
	ways := bulkWays(b, back)
	rates := map[string][]float64{}
	for b.Loop() {
		for range 5 {
			for way, addr := range ways {
				rates[way] = append(rates[way], bulkRate(b, addr, clients, total))
			}
		}
	}
	median := map[string]float64{}
	for way, r := range rates {
		slices.Sort(r)
		median[way] = r[len(r)/2]
		b.ReportMetric(median[way], way+"-MB/s")
	}
	if best := max(median["haproxy"], median["nginx"]); best > 0 {
		b.ReportMetric(median["posthouse"]/best, "of-best")
	}
	b.ReportMetric(0, "ns/op")
}

// bulkWays are the ways to the back end whose programs are installed.
func bulkWays(b *testing.B, back string) map[string]string {
	b.Helper()
	ctx := context.Background()
	ways := map[string]string{"direct": back, "posthouse": startChild(b, "plain", back).addr}
	if _, err := exec.LookPath("haproxy"); err == nil {
		h, err := realtest.StartHAProxy(ctx, back)
		require.NoError(b, err)
		b.Cleanup(h.Stop)
		ways["haproxy"] = h.Addr
	}
	if _, err := exec.LookPath("nginx"); err == nil {
		host, port, err := net.SplitHostPort(back)
		require.NoError(b, err)
		guide := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Auth-Status", "OK")
			w.Header().Set("Auth-Server", host)
			w.Header().Set("Auth-Port", port)
		}))
		b.Cleanup(guide.Close)
		realtest.RequireNginx(b)
		n, err := realtest.StartNginx(ctx, guide.URL+"/", "key")
		require.NoError(b, err)
		b.Cleanup(n.Stop)
		ways["nginx"] = fmt.Sprintf("127.0.0.1:%d", n.IMAP)
	}
	return ways
}

// bulkRate is how many MB arrive in a second, at some clients together.
func bulkRate(b *testing.B, addr string, clients, total int) float64 {
	b.Helper()
	conns := make([]net.Conn, clients)
	for i := range conns {
		nc, err := net.Dial("tcp", addr)
		require.NoError(b, err)
		conns[i] = reached(b, nc)
	}
	each := total / clients
	results := make(chan error, clients)
	begin := time.Now()
	for _, nc := range conns {
		go func() {
			_, err := fmt.Fprintf(nc, "GET %d\r\n", each)
			buf := make([]byte, 256<<10)
			for left := each; left > 0 && err == nil; {
				var n int
				n, err = nc.Read(buf[:min(left, len(buf))])
				left -= n
			}
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			results <- err
		}()
	}
	for range conns {
		require.NoError(b, <-results)
	}
	took := time.Since(begin)
	for _, nc := range conns {
		nc.Close()
	}
	return float64(total) / 1e6 / took.Seconds()
}
