package storagetest

import (
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// numberTests check that what names a message, a mailbox or a change for ever
// does so through power cuts.
var numberTests = map[string]func(*plug){
	"UIDsNeverRepeat": func(p *plug) {
		validity, last := p.box("x").status().UIDValidity, imap.UID(0)
		for range 6 {
			m := p.open("x")
			require.Equal(p, validity, m.status().UIDValidity)
			for _, uid := range m.add(3) {
				require.Greater(p, uid, last)
				last = uid
			}
			p.cut()
			m = p.open("x")
			m.expunge(last-2, last-1, last)
			p.cut()
			require.Greater(p, p.open("x").status().UIDNext, last)
		}
		last = p.open("x").add(1)[0]
		_, err := p.open("x").Move(p.ctx(), all(), "INBOX")
		require.NoError(p, err)
		p.cut()
		require.Greater(p, p.open("x").add(1)[0], last)
	},
	"UIDValidityOfANameGrows": func(p *plug) {
		var last uint32
		for range 4 {
			v := p.box("again").status().UIDValidity
			require.Greater(p, v, last)
			last = v
			p.cut()
			require.Equal(p, last, p.open("again").status().UIDValidity)
			require.NoError(p, p.account(alice).Delete(p.ctx(), "again"))
			p.cut()
		}
	},
	"MailboxIDsNeverRepeat": func(p *plug) {
		seen := make(map[storage.MailboxID]bool)
		for range 4 {
			id := p.box("x").ID()
			require.False(p, seen[id], "%d again", id)
			seen[id] = true
			require.NoError(p, p.account(alice).Delete(p.ctx(), "x"))
			p.cut()
		}
	},
	"ModSeqsNeverGoBack": func(p *plug) {
		m := p.box("x")
		m.add(3)
		last := m.status().HighestModSeq
		for _, change := range []func(m *box){
			func(m *box) { m.store(imap.StoreFlagsAdd, set(1), imap.FlagSeen) },
			func(m *box) { m.store(imap.StoreFlagsDel, set(1), imap.FlagSeen) },
			func(m *box) { m.expunge(3) },
			func(m *box) { m.add(1) },
			func(m *box) { m.expunge(1, 2, 4) },
			func(m *box) { m.add(1) },
		} {
			m := p.open("x")
			change(m)
			now := m.status().HighestModSeq
			require.Greater(p, now, last)
			last = now
			p.cut()
			require.GreaterOrEqual(p, p.open("x").status().HighestModSeq, last)
		}
	},
	"TombstonesStay": func(p *plug) {
		m := p.box("x")
		m.add(9)
		s0 := m.status().HighestModSeq
		m.expunge(2, 3)
		s1 := m.status().HighestModSeq
		p.cut()
		m = p.open("x")
		m.expunge(7)
		_, err := m.Move(p.ctx(), set(9), "INBOX")
		require.NoError(p, err)
		for range 2 {
			p.cut()
			m = p.open("x")
			require.Equal(p, set(2, 3, 7, 9), m.expunged(s0))
			require.Equal(p, set(7, 9), m.expunged(s1))
			require.Empty(p, m.list(m.status().HighestModSeq))
		}
		require.Empty(p, m.list(s1))
	},
}
