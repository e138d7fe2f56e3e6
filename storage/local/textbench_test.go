package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/fold"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// writer makes messages as people and machines write them: words by a Zipf
// distribution, and headers of which much is there only once.
type writer struct {
	*rand.Rand
	zipf  *rand.Zipf
	words []string
}

func newWriter() *writer {
	r := rand.New(rand.NewPCG(20, 26))
	w := &writer{Rand: r, zipf: rand.NewZipf(r, 1.07, 3, 49_999), words: make([]string, 50_000)}
	for i := range w.words {
		w.words[i] = w.word(2 + r.IntN(4))
	}
	return w
}

// word makes a word of syllables.
func (w *writer) word(syllables int) string {
	var b strings.Builder
	for range syllables {
		b.WriteString([]string{"b", "c", "d", "f", "g", "l", "m", "n", "p", "r", "s", "st", "t", "tr"}[w.IntN(14)])
		b.WriteString([]string{"a", "e", "i", "o", "u", "ea", "io"}[w.IntN(7)])
	}
	return b.String()
}

func (w *writer) next() string { return w.words[w.zipf.Uint64()] }

// message makes one of about size octets.
func (w *writer) message(size int) message.Body {
	var b strings.Builder
	id := func() string { return fmt.Sprintf("%016X", w.Uint64()) }
	date := time.Unix(1700000000+w.Int64N(1e8), 0).UTC().Format(time.RFC1123Z)
	from := w.words[w.IntN(300)]
	fmt.Fprintf(&b, "Return-Path: <%s@example.net>\r\nReceived: from mx%d.example.net (mx%[2]d.example.net [192.0.2.%d])\r\n\tby mail.example.test with ESMTPS id %s\r\n\tfor <alice@example.test>; %s\r\n", from, w.IntN(9), w.IntN(250), id(), date)
	fmt.Fprintf(&b, "Received: from [10.1.%d.%d] by mx.example.net with ESMTPSA id %s; %s\r\n", w.IntN(250), w.IntN(250), id(), date)
	fmt.Fprintf(&b, "DKIM-Signature: v=1; a=ed25519-sha256; d=example.net; s=mail; h=from:to:subject:date;\r\n\tbh=%s%s; b=%s%s%s%s\r\n", id(), id(), id(), id(), id(), id())
	fmt.Fprintf(&b, "From: %s %s <%s@example.net>\r\nTo: Alice <alice@example.test>\r\nSubject: %s %s %s\r\nDate: %s\r\n", from, w.next(), from, w.next(), w.next(), w.next(), date)
	fmt.Fprintf(&b, "Message-ID: <%s.%s@example.net>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", id(), id())
	for line := 0; b.Len() < size; line++ {
		for range 10 {
			b.WriteString(w.next())
			b.WriteByte(" ,.\n"[max(0, w.IntN(12)-8)])
		}
		b.WriteString("\r\n")
	}
	return message.FromBytes([]byte(b.String()))
}

// written is a store whose alice has n messages of about size octets.
func written(b *testing.B, n, size int) (*Store, *mailbox) {
	s, _ := benchStore(b)
	a, err := s.Account(b.Context(), "alice")
	require.NoError(b, err)
	found, err := a.Mailbox(b.Context(), "INBOX")
	require.NoError(b, err)
	w := newWriter()
	for n > 0 {
		msgs := make([]storage.NewMessage, min(n, 500))
		for i := range msgs {
			msgs[i] = storage.NewMessage{Body: w.message(size)}
		}
		_, err := found.Append(b.Context(), msgs...)
		require.NoError(b, err)
		n -= len(msgs)
	}
	return s, found.(*mailbox)
}

// scan counts the messages among candidates whose text holds a text. It is what
// a search does.
func scan(ctx context.Context, m *mailbox, set imap.UIDSet, text string) (n int, err error) {
	needle, _ := fold.Append(nil, []byte(text))
	var folded []byte
	for _, r := range set {
		for uid := r.Start; uid <= r.Stop; uid++ {
			part, err := m.Index(ctx, uid)
			if err != nil {
				return 0, err
			}
			body, err := m.Open(ctx, uid)
			if err != nil {
				return 0, err
			}
			all, err := io.ReadAll(io.MultiReader(io.NewSectionReader(body, 0, part.Body), message.TextReader(body, part)))
			body.Close()
			if err != nil {
				return 0, err
			}
			if folded, _ = fold.Append(folded[:0], all); bytes.Contains(folded, needle) {
				n++
			}
		}
	}
	return n, nil
}

// BenchmarkTextIndex makes the index of 10,000 messages of 3 KB and searches,
// beside looking into every message.
func BenchmarkTextIndex(b *testing.B) {
	s, m := written(b, 10_000, 3<<10)
	b.Run("build", func(b *testing.B) {
		var took, tidied []time.Duration
		for b.Loop() {
			box := s.texts.pin(m.id)
			require.NoError(b, box.take(b.Context()))
			require.NoError(b, box.drop())
			begin := time.Now()
			require.NoError(b, s.texts.build(b.Context(), m, box, &textPacer{ctx: b.Context()}))
			took = append(took, time.Since(begin))
			begin = time.Now()
			require.NoError(b, s.texts.tidy(b.Context(), box, &textPacer{ctx: b.Context()}))
			tidied = append(tidied, time.Since(begin))
			box.mu.Lock()
			box.loaded = true
			box.mu.Unlock()
			box.give()
			s.texts.unpin(box)
		}
		box, size := s.texts.boxes[m.id], int64(0)
		for _, g := range box.segments {
			size += g.size
		}
		st, err := m.Status(b.Context())
		require.NoError(b, err)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(10_000/median(took).Seconds(), "messages/s")
		b.ReportMetric(median(tidied).Seconds()*1e3, "ms/merge")
		b.ReportMetric(100*float64(size)/float64(st.Size), "%size")
		b.ReportMetric(float64(len(box.segments)), "segments")
	})
	w := newWriter()
	for _, q := range []struct{ name, text string }{
		{"absent", "xyzzy"}, {"rare", w.words[40_000]}, {"seldom", w.words[3000]}, {"common", w.words[20]},
		{"piece", w.words[9000][1:]}, {"phrase", w.words[5] + " " + w.words[300]}, {"short", "zq"},
	} {
		b.Run(q.name, func(b *testing.B) { benchmarkText(b, m, q.text) })
	}
}

func benchmarkText(b *testing.B, m *mailbox, text string) {
	var asked, indexed, scanned []time.Duration
	all := imap.UIDSet{{Start: 1, Stop: 10_000}}
	var candidates imap.UIDSet
	hits := 0
	for b.Loop() {
		begin := time.Now()
		set, err := m.TextCandidates(b.Context(), text)
		require.NoError(b, err)
		asked = append(asked, time.Since(begin))
		n, err := scan(b.Context(), m, set, text)
		require.NoError(b, err)
		indexed = append(indexed, time.Since(begin))
		begin = time.Now()
		hits, err = scan(b.Context(), m, all, text)
		require.NoError(b, err)
		scanned = append(scanned, time.Since(begin))
		require.Equal(b, hits, n)
		candidates = set
	}
	n := 0
	for _, r := range candidates {
		n += int(r.Stop-r.Start) + 1
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(n), "candidates")
	b.ReportMetric(float64(hits), "hits")
	b.ReportMetric(median(asked).Seconds()*1e3, "ms/index")
	b.ReportMetric(median(indexed).Seconds()*1e3, "ms/search")
	b.ReportMetric(median(scanned).Seconds()*1e3, "ms/scan")
	b.ReportMetric(ratio(scanned, indexed), "scan/search")
}

// BenchmarkDeliverWithTextIndex delivers while the index of words is made and
// while it is not, in turns. "noise" compares the second with itself.
func BenchmarkDeliverWithTextIndex(b *testing.B) {
	dir, err := os.MkdirTemp(".", "bench")
	require.NoError(b, err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	o := quiet(nil)
	o.Text.Mode = TextAll
	s := open(b, filepath.Join(dir, "store"), o)
	w := newWriter()
	bodies := make([]message.Body, 2000)
	for i := range bodies {
		bodies[i] = w.message(3 << 10)
	}
	round := func(n int) time.Duration {
		begin := time.Now()
		var workers sync.WaitGroup
		for worker := range 8 {
			workers.Go(func() {
				for i := range n / 8 {
					r, err := s.Deliver(b.Context(), &storage.Delivery{Body: bodies[(worker*n/8+i)%len(bodies)], Targets: []storage.Target{{User: fmt.Sprint("user", i%4)}}})
					require.NoError(b, err)
					require.NoError(b, r[0].Err)
				}
			})
		}
		workers.Wait()
		return time.Since(begin)
	}
	s.texts.stop()
	round(16_000)
	var with, without, control []time.Duration
	const each = 4000
	for i := 0; b.Loop(); i++ {
		for turn := range 3 {
			switch (turn + i) % 3 {
			case 0:
				s.texts.worker = startTextWorker(s.texts)
				with = append(with, round(each))
				s.texts.stop()
			case 1:
				without = append(without, round(each))
			case 2:
				control = append(control, round(each))
			}
		}
	}
	s.texts.worker = startTextWorker(s.texts)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(with).Seconds()*1e3/each, "ms/delivery")
	b.ReportMetric(ratio(with, without), "with/without")
	b.ReportMetric(ratio(control, without), "noise")
}
