package storagetest

import (
	"bytes"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

const multipart = "Subject: parts\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>two\r\n--b--\r\n"

var contentTests = map[string]func(*bench){
	"IndexFitsWhatOpenGives": func(b *bench) {
		prefix := "Return-Path: <x@example.test>\r\nDelivered-To: alice\r\n"
		r := b.deliver(multipart, storage.Target{User: alice, Prefix: []byte(prefix)}, storage.Target{User: alice})
		for i, want := range []string{prefix + multipart, multipart} {
			fits(b.box("INBOX"), r[i].UID, want)
		}
	},
	"AnIndexThatIsGivenIsUsed": func(b *bench) {
		index, err := message.Parse(body(multipart), message.Limits{})
		require.NoError(b, err)
		r, err := b.Deliver(b.ctx(), &storage.Delivery{Body: body(multipart), Index: index, Targets: []storage.Target{{User: alice}}})
		require.NoError(b, err)
		m := b.box("INBOX")
		fits(m, r[0].UID, multipart)
		uids, err := m.Append(b.ctx(), storage.NewMessage{Body: body(multipart), Index: index})
		require.NoError(b, err)
		fits(m, uids[0], multipart)
	},
	"AnIndexTellsOfFieldsInThePrefix": func(b *bench) {
		r := b.deliver("Subject: x\r\n\r\ny", storage.Target{User: alice, Prefix: []byte("Date: Tue, 3 Feb 2026 12:00:00 +0000\r\nMessage-ID: <1@x>\r\n")})
		m := b.box("INBOX")
		p, err := m.Index(b.ctx(), r[0].UID)
		require.NoError(b, err)
		require.True(b, p.Envelope.HasDate)
		require.Equal(b, "<1@x>", p.Envelope.MessageID)
		require.Equal(b, "x", p.Envelope.Subject)
		fits(m, r[0].UID, m.text(r[0].UID))
	},
	"CopiesHaveTheSameContent": func(b *bench) {
		prefix := "Delivered-To: alice\r\n"
		r := b.deliver(multipart, storage.Target{User: alice, Prefix: []byte(prefix)})
		m, other := b.box("INBOX"), b.box("other")
		c, err := m.Copy(b.ctx(), all(), "other")
		require.NoError(b, err)
		m.expunge(r[0].UID)
		fits(other, c.Dest[0], prefix+multipart)
	},
	"NoMessage": func(b *bench) {
		m := b.box("x")
		uid := m.add(1)[0]
		_, err := m.Open(b.ctx(), uid+1)
		require.ErrorIs(b, err, storage.ErrNoMessage)
		_, err = m.Index(b.ctx(), 0)
		require.ErrorIs(b, err, storage.ErrNoMessage)
		m.expunge(uid)
		_, err = m.Open(b.ctx(), uid)
		require.ErrorIs(b, err, storage.ErrNoMessage)
		_, err = m.Open(cancelled(), uid)
		require.Error(b, err)
	},
	"P03OpenContentOutlivesItsMessage": func(b *bench) {
		m := b.box("x")
		text := "Subject: long\r\n\r\n" + strings.Repeat("0123456789abcdef", 20_000)
		uids, err := m.Append(b.ctx(), storage.NewMessage{Body: body(text)})
		require.NoError(b, err)
		c, err := m.Open(b.ctx(), uids[0])
		require.NoError(b, err)
		defer c.Close()
		m.expunge(uids...)
		var got bytes.Buffer
		_, err = got.ReadFrom(message.NewReader(c))
		require.NoError(b, err)
		require.Equal(b, text, got.String())
	},
	"ABodyIsCopied": func(b *bench) {
		text := []byte("Subject: x\r\n\r\nmine\r\n")
		prefix := []byte("X: 1\r\n")
		_, err := b.Deliver(b.ctx(), &storage.Delivery{Body: message.FromBytes(text), Targets: []storage.Target{{User: alice, Prefix: prefix}}})
		require.NoError(b, err)
		copy(text, "XXXXXXXXXXXXXXXX")
		copy(prefix, "YYYY")
		require.Equal(b, "X: 1\r\nSubject: x\r\n\r\nmine\r\n", b.box("INBOX").text(1))
	},
	"ALargeMessage": func(b *bench) {
		text := "Subject: large\r\n\r\n" + strings.Repeat("All work and no play makes Jack a dull boy.\r\n", 100_000)
		r := b.deliver(text, storage.Target{User: alice})
		m := b.box("INBOX")
		require.Equal(b, text, m.text(r[0].UID))
		c, err := m.Open(b.ctx(), r[0].UID)
		require.NoError(b, err)
		defer c.Close()
		require.EqualValues(b, len(text), c.Size())
		part := make([]byte, 100)
		_, err = c.ReadAt(part, 3_000_000)
		require.NoError(b, err)
		require.Equal(b, text[3_000_000:3_000_100], string(part))
	},
}

// fits checks that a message's content is text and its index that of text.
func fits(m *box, uid imap.UID, text string) {
	m.b.Helper()
	require.Equal(m.b, text, m.text(uid))
	want, err := message.Parse(body(text), message.Limits{})
	require.NoError(m.b, err)
	for range 2 { // a store may keep what it had to compute
		got, err := m.Index(m.b.ctx(), uid)
		require.NoError(m.b, err)
		wantText, err := want.AppendBinary(nil)
		require.NoError(m.b, err)
		gotText, err := got.AppendBinary(nil)
		require.NoError(m.b, err)
		require.Equal(m.b, wantText, gotText)
		require.Equal(m.b, text[want.Body:want.End], text[got.Body:got.End])
	}
}
