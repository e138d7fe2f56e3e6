package imap

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// benchClient has alice's INBOX of n messages selected, over loopback.
func benchClient(b *testing.B, store storage.Store, n int, text string) *client {
	b.Helper()
	fill(b, store, n, text)
	c := login(b, start(b, quietServer(store)))
	c.ok("SELECT INBOX")
	return c
}

// run measures a command beside the octets of its answer sent over loopback
// by a bare writer.
func run(b *testing.B, c *client, command string) {
	b.Helper()
	size := measure(b, c, command)
	b.SetBytes(int64(size))
	b.ReportMetric(perRun(b)/bareLoopback(b, size), "ratio-to-bare-loopback")
}

func perRun(b *testing.B) float64 { return float64(b.Elapsed().Nanoseconds()) / float64(b.N) }

// measure repeats a command and reads its answer as fast as it comes.
func measure(b *testing.B, c *client, command string) (size int) {
	b.Helper()
	require.NoError(b, c.conn.SetDeadline(time.Time{}))
	buf := make([]byte, 256<<10)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		io.WriteString(c.conn, "b "+command+"\r\n")
		size = readUntil(b, c.conn, buf, "b OK ")
	}
	b.StopTimer()
	return size
}

// readUntil reads to the tagged answer, which begins a line at the end of
// what is sent.
func readUntil(b *testing.B, conn net.Conn, buf []byte, answer string) (size int) {
	var tail []byte
	for {
		n, err := conn.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		size += n
		tail = append(tail, buf[max(0, n-128):n]...)
		tail = tail[max(0, len(tail)-128):]
		if i := bytes.LastIndex(tail, []byte("\n"+answer)); i >= 0 && bytes.HasSuffix(tail, []byte("\r\n")) {
			return size
		}
	}
}

// bareLoopback returns how many nanoseconds size octets take over loopback,
// written 16 KiB at a time.
func bareLoopback(b *testing.B, size int) float64 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		ask, out := make([]byte, 1), make([]byte, 16<<10)
		for {
			if _, err := conn.Read(ask); err != nil {
				return
			}
			for left := size; left > 0; left -= len(out) {
				conn.Write(out[:min(left, len(out))])
			}
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(b, err)
	defer conn.Close()
	buf := make([]byte, 256<<10)
	const rounds = 200
	began := time.Now()
	for range rounds {
		conn.Write([]byte{'x'})
		for got := 0; got < size; {
			n, err := conn.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			got += n
		}
	}
	return float64(time.Since(began).Nanoseconds()) / rounds
}

// fill appends n messages to alice's INBOX.
func fill(b *testing.B, store storage.Store, n int, text string) {
	b.Helper()
	account, err := store.Account(b.Context(), "alice")
	require.NoError(b, err)
	box, err := account.Mailbox(b.Context(), "INBOX")
	require.NoError(b, err)
	for n > 0 {
		msgs := make([]storage.NewMessage, min(n, 100))
		for i := range msgs {
			msgs[i] = storage.NewMessage{Body: message.FromBytes([]byte(text)), Date: received}
		}
		_, err := box.Append(b.Context(), msgs...)
		require.NoError(b, err)
		n -= len(msgs)
	}
}

// overStores runs a benchmark over each store, with n messages of a text.
func overStores(b *testing.B, n int, text string, bench func(b *testing.B, c *client)) {
	for _, name := range []string{"memory", "local"} {
		b.Run(name, func(b *testing.B) { bench(b, benchClient(b, openStores[name](b), n, text)) })
	}
}

func BenchmarkFetchFlagsOf10000(b *testing.B) {
	overStores(b, 10_000, plainMessage, func(b *testing.B, c *client) { run(b, c, "FETCH 1:* (FLAGS)") })
}

func BenchmarkFetchListing(b *testing.B) {
	overStores(b, 10_000, plainMessage, func(b *testing.B, c *client) { run(b, c, "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)") })
}

func BenchmarkFetchEnvelopeBodyStructure(b *testing.B) {
	overStores(b, 1000, mixedMessage, func(b *testing.B, c *client) { run(b, c, "FETCH 1:* (ENVELOPE BODYSTRUCTURE)") })
}

func BenchmarkFetchBody3KiB(b *testing.B)  { fetchBodies(b, 3<<10) }
func BenchmarkFetchBody50KiB(b *testing.B) { fetchBodies(b, 50<<10) }

func fetchBodies(b *testing.B, size int) {
	text := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz 0123456789abcdefghijklmnopqrstuv\r\n", size/72)
	overStores(b, 200, text, func(b *testing.B, c *client) { run(b, c, "FETCH 1:* (BODY.PEEK[])") })
}

func BenchmarkSearchBody(b *testing.B) {
	text := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz\r\n", 80)
	overStores(b, 1000, text, func(b *testing.B, c *client) {
		measure(b, c, "SEARCH BODY needle")
		b.ReportMetric(perRun(b)/bareSearch([]byte(text), 1000), "ratio-to-bare-scan")
	})
}

// fillVaried appends n messages of 3 KiB to alice's INBOX, each with a header of
// its own, in no order of their dates.
func fillVaried(b *testing.B, store storage.Store, n int) {
	b.Helper()
	account, err := store.Account(b.Context(), "alice")
	require.NoError(b, err)
	box, err := account.Mailbox(b.Context(), "INBOX")
	require.NoError(b, err)
	text := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz\r\n", 72)
	msgs := make([]storage.NewMessage, 0, 100)
	for i := range n {
		date := received.Add(time.Duration(i*7919%n) * time.Minute)
		header := fmt.Sprintf("Received: from a.example.test by mx.example.test with ESMTPS id %d\r\n\tfor <alice@example.test>; %s\r\n"+
			"From: Sender Number%d <s%d@example.test>\r\nTo: Alice <alice@example.test>\r\nSubject: Re: message %d about things\r\nDate: %s\r\n"+
			"Message-ID: <%d@example.test>\r\nReferences: <%d@example.test> <%d@example.test>\r\n\r\n",
			i, date.Format(time.RFC1123Z), i%500, i%500, i/10, date.Format(time.RFC1123Z), i, i/10, i/2)
		msgs = append(msgs, storage.NewMessage{Body: message.FromBytes([]byte(header + text)), Date: date})
		if len(msgs) == cap(msgs) || i == n-1 {
			_, err := box.Append(b.Context(), msgs...)
			require.NoError(b, err)
			msgs = msgs[:0]
		}
	}
}

// overVaried measures a command over 10,000 varied messages: cold, when nothing
// of their headers has been read, and warm.
func overVaried(b *testing.B, command string) {
	store := openStores["local"](b)
	fillVaried(b, store, 10_000)
	b.Run("cold", func(b *testing.B) {
		s := quietServer(store)
		s.Limits.SearchMemory = -1
		c := login(b, start(b, s))
		c.ok("EXAMINE INBOX")
		measure(b, c, command)
	})
	b.Run("warm", func(b *testing.B) {
		c := login(b, start(b, quietServer(store)))
		c.ok("EXAMINE INBOX")
		c.ok(command)
		measure(b, c, command)
	})
}

func BenchmarkSearchFlagged(b *testing.B) { overVaried(b, "SEARCH FLAGGED") }
func BenchmarkSearchSubject(b *testing.B) { overVaried(b, "SEARCH SUBJECT nowhere") }
func BenchmarkSearchFrom(b *testing.B)    { overVaried(b, "SEARCH FROM number77") }
func BenchmarkSortDate(b *testing.B)      { overVaried(b, "SORT (DATE) UTF-8 ALL") }
func BenchmarkSortSubject(b *testing.B)   { overVaried(b, "SORT (SUBJECT) UTF-8 ALL") }
func BenchmarkThreadReferences(b *testing.B) {
	overVaried(b, "THREAD REFERENCES UTF-8 ALL")
}

// bareSearch returns how many nanoseconds it takes to look for a needle in
// the same octets, n times, where they are.
func bareSearch(text []byte, n int) float64 {
	const rounds = 20
	found := 0
	began := time.Now()
	for range rounds * n {
		found += bytes.Count(text, []byte("needle"))
	}
	return float64(time.Since(began).Nanoseconds()+int64(found)) / rounds
}

func BenchmarkStoreFlagsOf10000(b *testing.B) {
	overStores(b, 10_000, plainMessage, func(b *testing.B, c *client) {
		for b.Loop() {
			c.ok(`STORE 1:* +FLAGS.SILENT (\Seen)`)
			c.ok(`STORE 1:* -FLAGS.SILENT (\Seen)`)
		}
	})
}

func BenchmarkSelectOf10000(b *testing.B) {
	overStores(b, 10_000, plainMessage, func(b *testing.B, c *client) {
		for b.Loop() {
			c.ok("EXAMINE INBOX")
		}
	})
}

func BenchmarkListMatch(b *testing.B) {
	m := newListPattern("*a%b*c")
	for b.Loop() {
		m.match("Work/2026/abc/Project")
	}
}
