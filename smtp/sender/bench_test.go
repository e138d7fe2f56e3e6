package sender_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/smtp/sender"
)

// BenchmarkSend sends one message on one connection and prints, as ratio, how
// much of the speed of a bare connection is left: one that writes the same
// commands and content and waits for the same replies, without looking at them.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{1 << 10, 50 << 10, 5 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			host, port := hostile(b, dialogue(nil))
			content := "Subject: bench\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", size/78)
			j := job(content, "a@us.test", "b@d.test")
			j.Route = to(sender.Host{Name: host, Port: port})
			s := sender.New(options())
			commands := [][]byte{
				[]byte("EHLO us.test\r\n"), []byte("MAIL FROM:<a@us.test>\r\n"), []byte("RCPT TO:<b@d.test>\r\n"), []byte("DATA\r\n"),
				append([]byte(content), ".\r\n"...),
			}
			address := net.JoinHostPort(host, strconv.Itoa(port))
			var ratios []float64
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				start := time.Now()
				results := s.Send(context.Background(), j)
				ours := time.Since(start)
				b.StopTimer()
				require.Equal(b, 250, results[0].Reply.Code)
				start = time.Now()
				bare(b, address, commands)
				ratios = append(ratios, float64(time.Since(start))/float64(ours))
				b.StartTimer()
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "ratio")
		})
	}
}

func bare(b *testing.B, address string, commands [][]byte) {
	nc, err := net.Dial("tcp", address)
	require.NoError(b, err)
	defer nc.Close()
	r := bufio.NewReader(nc)
	for _, c := range commands {
		_, err := r.ReadSlice('\n')
		require.NoError(b, err)
		_, err = nc.Write(c)
		require.NoError(b, err)
	}
	line, err := r.ReadSlice('\n')
	require.NoError(b, err)
	require.True(b, bytes.HasPrefix(line, []byte("250")))
}
