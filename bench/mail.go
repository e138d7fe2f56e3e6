package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// writer makes messages that look like mail: words of unequal frequency,
// trace headers, threads, plain texts and alternatives. The same seed makes
// the same messages.
type writer struct {
	random *rand.Rand
	words  []string
	common *rand.Zipf // an index of words
	n      int
}

// rare is a word in about one message of a hundred, in subject and body.
const rare = "zeppelin"

func newWriter() *writer {
	w := &writer{random: rand.New(rand.NewPCG(4, 3501))}
	syllables := strings.Fields("an ba con de el fi ga ho in ja ka lo ma ne or pa qui re so ta un ve wi xo yet za bri cla dro ste tra")
	for range 5000 {
		word := ""
		for range 1 + w.random.IntN(4) {
			word += syllables[w.random.IntN(len(syllables))]
		}
		w.words = append(w.words, word)
	}
	w.common = rand.NewZipf(w.random, 1.2, 5, uint64(len(w.words)-1))
	return w
}

// text is n words in lines of a mail program's width.
func (w *writer) text(octets int) string {
	var b strings.Builder
	line := 0
	for b.Len() < octets {
		word := w.words[w.common.Uint64()]
		if line += len(word) + 1; line > 72 {
			b.WriteString("\r\n")
			line = len(word) + 1
		}
		b.WriteString(word)
		b.WriteByte(' ')
	}
	b.WriteString("\r\n")
	return b.String()
}

func (w *writer) person() string {
	first, last := w.words[w.random.IntN(400)], w.words[400+w.random.IntN(400)]
	return fmt.Sprintf("\"%s %s\" <%s.%s@example.org>", first, last, first, last)
}

// message makes the next message, of about so many octets.
func (w *writer) message(octets int) string {
	w.n++
	date := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(w.random.IntN(300*24*3600)) * time.Second)
	subject := strings.TrimSpace(w.text(20 + w.random.IntN(30)))
	extra := ""
	if w.n%100 == 50 {
		subject += " " + rare
		extra = "a " + rare + " flies by\r\n"
	}
	var b strings.Builder
	for hop := range 3 {
		fmt.Fprintf(&b, "Received: from relay%d.example.org (relay%d.example.org [192.0.2.%d])\r\n\tby mx%d.example.test with ESMTPS id %016X\r\n\tfor <alice@example.test>; %s\r\n",
			hop, hop, hop+1, hop, w.random.Uint64(), date.Format(time.RFC1123Z))
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s, %s\r\nCc: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%d.%x@example.org>\r\n",
		w.person(), w.person(), w.person(), w.person(), subject, date.Format(time.RFC1123Z), w.n, w.random.Uint64())
	if w.n%3 == 0 {
		fmt.Fprintf(&b, "In-Reply-To: <%d@example.org>\r\nReferences: <%d@example.org> <%d@example.org>\r\n", w.n-1, w.n-2, w.n-1)
	}
	b.WriteString("User-Agent: Some Mailer 102.3\r\nX-Spam-Status: No, score=-1.9\r\nMIME-Version: 1.0\r\n")
	rest := max(100, octets-b.Len()-200)
	if w.n%2 == 0 {
		fmt.Fprintf(&b, "Content-Type: text/plain; charset=utf-8; format=flowed\r\nContent-Transfer-Encoding: 7bit\r\n\r\n%s%s", extra, w.text(rest))
		return b.String()
	}
	text := extra + w.text(rest/2)
	fmt.Fprintf(&b, "Content-Type: multipart/alternative; boundary=\"=_%016x\"\r\n\r\n", w.n)
	fmt.Fprintf(&b, "--=_%016x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n", w.n, text)
	fmt.Fprintf(&b, "--=_%016x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>%s</p>\r\n--=_%016x--\r\n", w.n, text, w.n)
	return b.String()
}
