package gssapi_test

import (
	"crypto/rand"
	"encoding/asn1"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
	"github.com/stretchr/testify/require"
)

// The encryption types that are good, and one that is not.
const (
	aes128     = 17
	aes256     = 18
	aes128sha2 = 19
	aes256sha2 = 20
	rc4        = 23
)

// Flags of contexts and of Wrap tokens (RFC 4121).
const (
	mutual   = 2
	integ    = 32
	dceStyle = 4096

	sentByAcceptor = 1
	sealed         = 2
	acceptorSubKey = 4
)

// centre makes tickets as a key distribution centre does.
type centre struct {
	table *keytab.Keytab
}

func newCentre(services ...string) *centre {
	c := &centre{keytab.New()}
	for _, name := range services {
		for _, kind := range []int32{aes128, aes256, aes128sha2, aes256sha2, rc4} {
			if err := c.table.AddEntry(name, "EXAMPLE.TEST", "key of "+name, time.Now(), 1, kind); err != nil {
				panic(err)
			}
		}
	}
	return c
}

func (c *centre) keytab(t testing.TB) []byte {
	data, err := c.table.Marshal()
	require.NoError(t, err)
	return data
}

// initiator is the client's side of GSSAPI, written apart from the server's.
// What stands in its fields may be wrong on purpose.
type initiator struct {
	centre          *centre
	name            []string
	service         string
	realm, asserted string // the client's; asserted: in the authenticator, when it is another
	begin, end      time.Time
	clock           time.Time
	kind            int32
	subKey          bool
	flags           uint32
	ticketFlags     []int
	number          int64
	restrictions    types.AuthorizationData
	addresses       types.HostAddresses
	change          func(*messages.APReq)
	noChecksum      bool

	session, key types.EncryptionKey
	under        byte // acceptorSubKey or 0
	theirs       uint64
}

func (c *centre) client(name ...string) *initiator {
	now := time.Now()
	return &initiator{
		centre: c, name: name, service: "imap/mail.example.test", realm: "EXAMPLE.TEST", begin: now.Add(-time.Minute), end: now.Add(time.Hour), clock: now,
		kind: aes256, subKey: true, flags: mutual | integ, number: 77,
	}
}

func keySize(kind int32) int {
	switch kind {
	case aes256, aes256sha2:
		return 32
	}
	return 16
}

func randomKey(kind int32) types.EncryptionKey {
	k := types.EncryptionKey{KeyType: kind, KeyValue: make([]byte, keySize(kind))}
	_, _ = rand.Read(k.KeyValue)
	return k
}

// encrypt makes the EncryptedData of a value with an application tag.
func encrypt(t testing.TB, value []byte, tag int, key types.EncryptionKey, usage uint32, version int) types.EncryptedData {
	sealed, err := crypto.GetEncryptedData(asn1tools.AddASNAppTag(value, tag), key, usage, version)
	require.NoError(t, err)
	return sealed
}

func (i *initiator) ticket(t testing.TB) messages.Ticket {
	flags := types.NewKrbFlags()
	types.SetFlags(&flags, i.ticketFlags)
	cname := types.PrincipalName{NameType: 1, NameString: i.name}
	sname, _ := types.ParseSPNString(i.service)
	ticket, session, err := messages.NewTicket(cname, i.realm, sname, "EXAMPLE.TEST", flags, i.centre.table, i.kind, 1, i.begin, i.begin, i.end, i.end)
	require.NoError(t, err)
	i.session = session
	if i.kind == aes256sha2 || i.restrictions != nil || i.addresses != nil { // the library makes keys that are too short
		require.NoError(t, ticket.DecryptEncPart(i.centre.table, nil))
		part := &ticket.DecryptedEncPart
		i.session = randomKey(i.kind)
		part.Key, part.AuthorizationData, part.CAddr = i.session, i.restrictions, i.addresses
		key, _, err := i.centre.table.GetEncryptionKey(sname, "EXAMPLE.TEST", 1, i.kind)
		require.NoError(t, err)
		ticket.EncPart = encrypt(t, marshalKerberos(t, *part), 3, key, 2, 1)
		ticket.DecryptedEncPart = messages.EncTicketPart{}
	}
	return ticket
}

// token makes the first token.
func (i *initiator) token(t testing.TB) []byte {
	ticket := i.ticket(t)
	by := types.Authenticator{
		AVNO: 5, CRealm: i.realm, CName: types.PrincipalName{NameType: 1, NameString: i.name}, CTime: i.clock.UTC().Truncate(time.Second),
		Cusec: i.clock.Nanosecond() / 1000, SeqNumber: i.number,
	}
	if i.asserted != "" {
		by.CRealm = i.asserted
	}
	if !i.noChecksum {
		sum := binary.LittleEndian.AppendUint32(nil, 16)
		sum = append(sum, make([]byte, 16)...)
		by.Cksum = types.Checksum{CksumType: 0x8003, Checksum: binary.LittleEndian.AppendUint32(sum, i.flags)}
	}
	i.key, i.theirs = i.session, uint64(uint32(i.number))
	if i.subKey {
		by.SubKey = randomKey(i.kind)
		i.key = by.SubKey
	}
	request, err := messages.NewAPReq(ticket, i.session, by)
	require.NoError(t, err)
	if i.change != nil {
		i.change(&request)
	}
	message, err := request.Marshal()
	require.NoError(t, err)
	return framed(t, append([]byte{1, 0}, message...))
}

func framed(t testing.TB, message []byte) []byte {
	oid := []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2}
	token, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassApplication, IsCompound: true, Bytes: append(oid, message...)})
	require.NoError(t, err)
	return token
}

// proved reads the server's reply, in which it proves to know the session key.
func (i *initiator) proved(t testing.TB, reply []byte) {
	var outer asn1.RawValue
	rest, err := asn1.Unmarshal(reply, &outer)
	require.NoError(t, err)
	require.Empty(t, rest)
	require.Equal(t, []byte{2, 0}, outer.Bytes[11:13])
	var r messages.APRep
	require.NoError(t, r.Unmarshal(outer.Bytes[13:]))
	plain, err := crypto.DecryptEncPart(r.EncPart, i.session, 12)
	require.NoError(t, err)
	var part messages.EncAPRepPart
	require.NoError(t, part.Unmarshal(plain))
	require.WithinDuration(t, i.clock, part.CTime.Add(time.Duration(part.Cusec)*time.Microsecond), time.Microsecond)
	require.Equal(t, i.kind, part.Subkey.KeyType)
	require.Len(t, part.Subkey.KeyValue, keySize(i.kind))
	i.key, i.under, i.theirs = part.Subkey, acceptorSubKey, uint64(part.SequenceNumber)
}

// offered reads the server's offer of security layers.
func (i *initiator) offered(t testing.TB, token []byte) []byte {
	require.Greater(t, len(token), 16)
	size := int(binary.BigEndian.Uint16(token[4:]))
	require.Equal(t, []byte{5, 4, sentByAcceptor | i.under, 0xff}, token[:4])
	require.Equal(t, i.theirs, binary.BigEndian.Uint64(token[8:]))
	text, sum := token[16:len(token)-size], token[len(token)-size:]
	header := slices.Clone(token[:16])
	clear(header[4:8])
	require.Equal(t, i.sum(t, text, header, 22), sum)
	return text
}

// wrap makes a Wrap token without confidentiality, rotated to the right.
func (i *initiator) wrap(t testing.TB, text []byte, rotated int) []byte {
	header := []byte{5, 4, i.under, 0xff, 0, 0, 0, 0}
	header = binary.BigEndian.AppendUint64(header, uint64(uint32(i.number)))
	body := slices.Concat(text, i.sum(t, text, header, 24))
	binary.BigEndian.PutUint16(header[4:], uint16(len(body)-len(text)))
	binary.BigEndian.PutUint16(header[6:], uint16(rotated))
	for range rotated % len(body) {
		body = slices.Concat(body[len(body)-1:], body[:len(body)-1])
	}
	return slices.Concat(header, body)
}

func (i *initiator) sum(t testing.TB, text, header []byte, usage uint32) []byte {
	kind, err := crypto.GetEtype(i.key.KeyType)
	require.NoError(t, err)
	sum, err := kind.GetChecksumHash(i.key.KeyValue, slices.Concat(text, header), usage)
	require.NoError(t, err)
	return sum
}
