package storagetest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/fold"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// textTests check that nothing that a text search should find is kept from it.
// Mailboxes are large enough for an index to be worth it.
var textTests = map[string]func(*bench){
	"FindsWhateverHoldsTheText": func(b *bench) {
		m, r := b.textBox("x"), rand.New(rand.NewPCG(5, 3501))
		m.addTexts(r, 150)
		texts := m.texts()
		for range 150 {
			m.finds(texts, piece(r, texts))
		}
	},
	"FindsWhatJustCame": func(b *bench) {
		m, r := b.textBox("x"), rand.New(rand.NewPCG(5, 9051))
		for round := range 8 {
			m.addTexts(r, []int{1, 80, 3, 200, 1, 1, 64, 2}[round])
			word := fmt.Sprintf("Newest%dWord", round)
			uids, err := m.Append(b.ctx(), storage.NewMessage{Body: body("Subject: " + word + "\r\n\r\nx\r\n")})
			require.NoError(b, err)
			require.True(b, m.candidates(strings.ToLower(word)).Contains(uids[0]))
		}
		r1 := b.deliver("Subject: a\r\n\r\ndelivered\r\n", storage.Target{User: alice, Mailbox: "x"})
		require.True(b, m.candidates("livere").Contains(r1[0].UID))
	},
	"FindsWhatIsLeftOfTheExpunged": func(b *bench) {
		m, r := b.textBox("x"), rand.New(rand.NewPCG(5, 4315))
		m.addTexts(r, 200)
		m.candidates("any text")
		var gone []imap.UID
		for _, uid := range m.uids() {
			if r.IntN(5) > 0 {
				gone = append(gone, uid)
			}
		}
		m.expunge(gone...)
		m.addTexts(r, 5)
		texts := m.texts()
		for range 60 {
			m.finds(texts, piece(r, texts))
		}
	},
	"FindsCopiesAndMoved": func(b *bench) {
		m, y, r := b.textBox("x"), b.textBox("y"), rand.New(rand.NewPCG(5, 6851))
		m.addTexts(r, 100)
		y.addTexts(r, 100)
		y.candidates("any text")
		_, err := m.Copy(b.ctx(), all(), "y")
		require.NoError(b, err)
		_, err = m.Move(b.ctx(), imap.UIDSet{{Start: 1, Stop: 90}}, "y")
		require.NoError(b, err)
		for _, m := range [...]*textBox{m, y} {
			texts := m.texts()
			for range 40 {
				m.finds(texts, piece(r, texts))
			}
		}
	},
	"FollowsTheMailboxAndNotTheName": func(b *bench) {
		m, r := b.textBox("x"), rand.New(rand.NewPCG(5, 8474))
		m.addTexts(r, 100)
		m.candidates("any text")
		a := b.account(alice)
		require.NoError(b, a.Rename(b.ctx(), "x", "z"))
		z, x := b.textBox("z"), b.textBox("x")
		x.addTexts(r, 100)
		for _, m := range [...]*textBox{z, x} {
			texts := m.texts()
			for range 40 {
				m.finds(texts, piece(r, texts))
			}
		}
		require.NoError(b, a.Delete(b.ctx(), "z"))
		_, err := z.index.TextCandidates(b.ctx(), "any text")
		require.ErrorIs(b, err, storage.ErrNoMailbox)
		x = b.textBox("z")
		x.addTexts(r, 100)
		texts := x.texts()
		for range 40 {
			x.finds(texts, piece(r, texts))
		}
	},
	"ShortTextsAndTheContext": func(b *bench) {
		m, r := b.textBox("x"), rand.New(rand.NewPCG(5, 822))
		require.Empty(b, m.candidates("anything"))
		m.addTexts(r, 100)
		texts := m.texts()
		for _, text := range []string{"", " ", "e", ".", "\r\n", "\xff", "\xc3"} {
			m.finds(texts, text)
		}
		_, err := m.index.TextCandidates(cancelled(), "anything")
		require.Error(b, err)
	},
}

// textBox is a box with the power.
type textBox struct {
	*box
	index storage.TextIndex
}

func (b *bench) textBox(name string) *textBox {
	b.Helper()
	m := b.box(name)
	index, ok := storage.As[storage.TextIndex](m.Mailbox)
	if !ok {
		b.Skip("no TextIndex")
	}
	return &textBox{m, index}
}

func (m *textBox) candidates(text string) imap.UIDSet {
	m.b.Helper()
	set, err := m.index.TextCandidates(m.b.ctx(), text)
	require.NoError(m.b, err)
	return set
}

// addTexts appends n messages as strange as mail can be.
func (m *textBox) addTexts(r *rand.Rand, n int) {
	m.b.Helper()
	msgs := make([]storage.NewMessage, n)
	for i := range msgs {
		msgs[i] = storage.NewMessage{Body: body(strangeMessage(r, 3))}
	}
	_, err := m.Append(m.b.ctx(), msgs...)
	require.NoError(m.b, err)
}

// texts returns what a search looks at of every message: header fields with
// their names, of the message and those inside it, and the text parts.
func (m *textBox) texts() map[imap.UID][]string {
	m.b.Helper()
	texts := make(map[imap.UID][]string)
	for _, uid := range m.uids() {
		part, err := m.Index(m.b.ctx(), uid)
		require.NoError(m.b, err)
		content, err := m.Open(m.b.ctx(), uid)
		require.NoError(m.b, err)
		texts[uid] = partTexts(content, part, headerTexts(content, part, nil))
		content.Close()
	}
	return texts
}

func headerTexts(b message.Body, p *message.Part, texts []string) []string {
	header, _ := io.ReadAll(io.NewSectionReader(b, p.Offset, p.Body-p.Offset))
	for f := range message.Fields(header) {
		if f.Name == "" {
			texts = append(texts, string(f.Raw))
		} else {
			texts = append(texts, f.Name+": "+message.DecodeText(message.Unfold(f.Raw)))
		}
	}
	return texts
}

func partTexts(b message.Body, p *message.Part, texts []string) []string {
	if p.Type == "text" {
		text, _ := io.ReadAll(message.TextReader(b, p))
		return append(texts, string(text))
	}
	for _, child := range p.Parts {
		if p.Type == "message" {
			texts = headerTexts(b, child, texts)
		}
		texts = partTexts(b, child, texts)
	}
	return texts
}

// finds wants every message among the candidates that holds a text.
func (m *textBox) finds(texts map[imap.UID][]string, text string) {
	m.b.Helper()
	set := m.candidates(text)
	needle, _ := fold.Append(nil, []byte(text))
	for uid, list := range texts {
		for _, t := range list {
			if folded, _ := fold.Append(nil, []byte(t)); bytes.Contains(folded, needle) {
				require.True(m.b, set.Contains(uid), "message %d holds %q in %q", uid, text, t)
			}
		}
	}
}

// piece cuts a piece out of a text, often in other letter case.
func piece(r *rand.Rand, texts map[imap.UID][]string) string {
	at := r.IntN(len(texts))
	for _, list := range texts {
		if at--; at >= 0 {
			continue
		}
		text := list[r.IntN(len(list))]
		from := r.IntN(len(text) + 1)
		text = text[from:]
		text = text[:r.IntN(min(len(text), 100)+1)]
		switch r.IntN(4) {
		case 0:
			return text
		case 1:
			return strings.ToUpper(strings.ToValidUTF8(text, ""))
		default:
			return strings.ToValidUTF8(text, "")
		}
	}
	return ""
}

var strangeWords = []string{
	"noon", "Meeting", "a", "GR\u00dc\u00dfE", "e\u0301te\u0301", "\u6f22\u5b57\u6f22", "\u3072\u3089\u304c\u306a", "\u0e44\u0e17\u0e22", "\ud55c\uad6d\uc5b4",
	"\u0130stanbul", "\u212a", "x_y-z", "1,000.50", "\xff\xfe", "\xe6\xbc", "\x00", "=?utf-8?q?caf=C3=A9?=", "=?iso-8859-1?q?=E9t=E9?= =?iso-8859-1?q?=E9?=",
	"=?utf-8?b?5ryi5a2X?=", "=?utf-8?q?broken", "=3D=E9=\r\n", "c3BhbQ==", "<b>bold</b>", "\u2603", "\r\n ", "\r\n", strings.Repeat("deadbeef", 25), "\U0001f4ec", "+AOQ-", "\x1b$B4A\x1b(B",
}

func strangeText(r *rand.Rand, words int) string {
	var b strings.Builder
	for range words {
		b.WriteString(strangeWords[r.IntN(len(strangeWords))])
		b.WriteString([]string{" ", "", ", ", "\t", "\r\n"}[r.IntN(5)])
	}
	return b.String()
}

// strangeMessage makes a message, of parts down to a depth.
func strangeMessage(r *rand.Rand, depth int) string {
	var b strings.Builder
	for range r.IntN(4) {
		fmt.Fprintf(&b, "%s: %s\r\n", []string{"Subject", "From", "X-Strange", "no field", "To"}[r.IntN(5)], strangeText(r, 4))
	}
	charset := []string{"utf-8", "iso-8859-1", "utf-16le", "iso-2022-jp", "utf-7", "unknown", "gb2312", "us-ascii"}[r.IntN(8)]
	encoding := []string{"7bit", "8bit", "base64", "quoted-printable", "x-none"}[r.IntN(5)]
	kind := r.IntN(6)
	if depth == 0 {
		kind = 5
	}
	switch kind {
	case 0, 1:
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n%s\r\n", depth, strangeText(r, 2))
		for range 1 + r.IntN(3) {
			fmt.Fprintf(&b, "--b%d\r\n%s\r\n", depth, strangeMessage(r, depth-1))
		}
		if r.IntN(2) == 0 {
			fmt.Fprintf(&b, "--b%d--\r\n%s", depth, strangeText(r, 2))
		}
	case 2:
		fmt.Fprintf(&b, "Content-Type: message/rfc822\r\n\r\n%s", strangeMessage(r, depth-1))
	case 3:
		fmt.Fprintf(&b, "Content-Type: application/pdf\r\n\r\n%s", strangeText(r, 9))
	default:
		fmt.Fprintf(&b, "Content-Type: text/%s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s", []string{"plain", "html"}[r.IntN(2)], charset, encoding, strangeText(r, r.IntN(80)))
	}
	return b.String()
}
