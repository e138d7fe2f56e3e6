package local

import (
	"errors"
	"strings"
	"testing"
	"time"

	smtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/queue"
)

func sampleRecipient() *recipient {
	return &recipient{
		to: mail.Recipient{
			To:      mail.MustParseAddress(`"a b"@one.test`),
			Options: smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}},
		},
		destination: "one.test", due: stamp(time.Now()),
		state: queue.State{Attempts: 3, Delayed: true, Last: mail.Errorf(421, smtp.EnhancedCode{4, 4, 1}, "No answer").Because(errors.New("dial"))},
	}
}

func sampleEnvelope() *envelope {
	return &envelope{
		from: mail.MustParseAddress("a@b.test"), options: smtp.MailOptions{EnvelopeID: "e"}, total: 2,
		received: 12345, session: "s", prefix: []byte("X: y\r\n"), size: 1 << 40,
	}
}

func TestRecordsReadBack(t *testing.T) {
	v := sampleEnvelope()
	b, err := v.encode()
	require.NoError(t, err)
	got, err := decodeEnvelope(b)
	require.NoError(t, err)
	require.Equal(t, v, got)
	r := sampleRecipient()
	b, err = r.encode()
	require.NoError(t, err)
	back, err := decodeRecipient(b)
	require.NoError(t, err)
	require.Equal(t, r.state.Last.Error(), back.state.Last.Error())
	back.state.Last = r.state.Last
	require.Equal(t, r, back)
}

func TestLongRepliesAreCut(t *testing.T) {
	r := sampleRecipient()
	r.state.Last = &mail.Reply{Code: 12345, Text: strings.Repeat("é", maxReply), Reason: errors.New(strings.Repeat("x", 1<<20))}
	b, err := r.encode()
	require.NoError(t, err)
	require.Less(t, len(b), 3*maxReply)
	back, err := decodeRecipient(b)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("é", maxReply/2), back.state.Last.Text)
}

func FuzzRecords(f *testing.F) {
	b, _ := sampleEnvelope().encode()
	f.Add(b)
	b, _ = sampleRecipient().encode()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := decodeEnvelope(b); err == nil {
			again, err := v.encode()
			require.NoError(t, err)
			_, err = decodeEnvelope(again)
			require.NoError(t, err)
		}
		if r, err := decodeRecipient(b); err == nil {
			again, err := r.encode()
			require.NoError(t, err)
			_, err = decodeRecipient(again)
			require.NoError(t, err)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add(entryKey("one.test", entry{1, 2, 3}))
	f.Add(messageKey(7))
	f.Add(recipientKey(7, 1))
	f.Fuzz(func(t *testing.T, k []byte) {
		if d, e, ok := parseEntryKey(k); ok {
			require.Equal(t, k, entryKey(string(d), e))
		}
		if n, whole, ok := parseMessageKey(k); ok {
			if whole {
				require.Equal(t, k, messageKey(n.id))
			} else {
				require.Equal(t, k, recipientKey(n.id, n.number))
			}
		}
	})
}
