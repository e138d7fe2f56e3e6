package gssapi

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/asnAppTag"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/posthouse-mail/posthouse/auth"
)

// secContext is the acceptor's side of an established context (RFC 4121).
type secContext struct {
	client        auth.Ticket
	key           types.EncryptionKey // of the messages
	asserted      byte                // flagSubKey when the key is of the acceptor's making
	send, receive uint64              // numbers of the next messages
}

// assert makes a key and a number for the messages to come, and the AP-REP
// that tells them to the client (RFC 4120 §3.2.4).
func (c *secContext) assert(r *request) ([]byte, error) {
	var number [4]byte
	_, _ = rand.Read(number[:])                                       // never fails
	c.send = uint64(binary.BigEndian.Uint32(number[:]) & (1<<30 - 1)) // nobody's signed numbers run over
	c.key, c.asserted = newKey(c.key), flagSubKey
	part, err := asn1.Marshal(messages.EncAPRepPart{
		CTime: r.Authenticator.CTime.UTC(), Cusec: r.Authenticator.Cusec, Subkey: c.key, SequenceNumber: int64(c.send),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	sealed, err := crypto.GetEncryptedData(asn1tools.AddASNAppTag(part, asnAppTag.EncAPRepPart),
		r.Ticket.DecryptedEncPart.Key, keyusage.AP_REP_ENCPART, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	message, err := asn1.Marshal(messages.APRep{PVNO: version, MsgType: apRep, EncPart: sealed})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	return frame(asn1tools.AddASNAppTag(message, apRep))
}

// Flags of a Wrap token (RFC 4121 §4.2.2).
const (
	flagAcceptor = 1 << 0
	flagSealed   = 1 << 1
	flagSubKey   = 1 << 2
)

// headerSize is the length of a Wrap token's header (RFC 4121 §4.2.6.2).
const headerSize = 16

// wrap makes a Wrap token without confidentiality.
func (c *secContext) wrap(text []byte) ([]byte, error) {
	token := []byte{0x05, 0x04, flagAcceptor | c.asserted, 0xff, 0, 0, 0, 0}
	token = binary.BigEndian.AppendUint64(token, c.send)
	sum, err := c.checksum(text, token, keyusage.GSSAPI_ACCEPTOR_SEAL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	c.send++
	binary.BigEndian.PutUint16(token[4:], uint16(len(sum)))
	return slices.Concat(token, text, sum), nil
}

// unwrap reads the client's next Wrap token, which must not be confidential.
func (c *secContext) unwrap(token []byte) (text []byte, err error) {
	if len(token) < headerSize || len(token) > maxToken || token[0] != 0x05 || token[1] != 0x04 || token[3] != 0xff {
		return nil, refused("not a Wrap token")
	}
	switch flags := token[2]; {
	case flags&flagAcceptor != 0:
		return nil, refused("a Wrap token of the server's own")
	case flags&flagSealed != 0:
		return nil, refused("a Wrap token that is encrypted")
	case flags&flagSubKey != c.asserted:
		return nil, refused("a Wrap token under another key")
	}
	size := int(binary.BigEndian.Uint16(token[4:])) // EC
	rotated := int(binary.BigEndian.Uint16(token[6:]))
	number := binary.BigEndian.Uint64(token[8:])
	body := token[headerSize:]
	if number != c.receive {
		return nil, refused("a Wrap token out of order")
	}
	if len(body) == 0 || size > len(body) {
		return nil, refused("a Wrap token is too short")
	}
	rotated %= len(body) // to the right (RFC 4121 §4.2.5)
	body = slices.Concat(body[rotated:], body[:rotated])
	text = body[:len(body)-size]
	header := slices.Clone(token[:headerSize])
	clear(header[4:8])
	err = guard(func() error {
		sum, err := c.checksum(text, header, keyusage.GSSAPI_INITIATOR_SEAL)
		if err != nil || !hmac.Equal(sum, body[len(text):]) {
			return refused("a Wrap token with a wrong checksum")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.receive++
	return text, nil
}

// checksum is over the text and the header, whose EC and RRC are zero (RFC
// 4121 §4.2.4).
func (c *secContext) checksum(text, header []byte, usage uint32) ([]byte, error) {
	kind, err := crypto.GetEtype(c.key.KeyType)
	if err != nil {
		return nil, err
	}
	return kind.GetChecksumHash(c.key.KeyValue, slices.Concat(text, header), usage)
}
