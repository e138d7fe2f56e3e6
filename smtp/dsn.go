package smtp

import (
	"strings"

	smtp "github.com/emersion/go-smtp"
)

const (
	maxEnvelopeID        = 100 // octets, decoded (RFC 3461 §4.4)
	maxOriginalRecipient = 500 // octets (RFC 3461 §4.2)
)

// parseReturn reads RET= (RFC 3461 §4.3).
func parseReturn(value string) (smtp.DSNReturn, bool) {
	switch r := smtp.DSNReturn(strings.ToUpper(value)); r {
	case smtp.DSNReturnFull, smtp.DSNReturnHeaders:
		return r, true
	}
	return "", false
}

// parseEnvelopeID reads ENVID= (RFC 3461 §4.4).
func parseEnvelopeID(value string) (string, bool) {
	id, ok := decodeXtext(value)
	return id, ok && len(id) <= maxEnvelopeID && isASCII(id)
}

// parseNotify reads NOTIFY= (RFC 3461 §4.1): NEVER alone, or a list.
func parseNotify(value string) ([]smtp.DSNNotify, bool) {
	var list []smtp.DSNNotify
	for word := range strings.SplitSeq(strings.ToUpper(value), ",") {
		n := smtp.DSNNotify(word)
		switch n {
		case smtp.DSNNotifyNever, smtp.DSNNotifySuccess, smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed:
		default:
			return nil, false
		}
		for _, before := range list {
			if before == n || before == smtp.DSNNotifyNever || n == smtp.DSNNotifyNever {
				return nil, false
			}
		}
		list = append(list, n)
	}
	return list, true
}

// parseOriginalRecipient reads ORCPT= (RFC 3461 §4.2, RFC 6533 §3). Address
// types besides rfc822 and utf-8 are kept as they are.
func parseOriginalRecipient(value string) (smtp.DSNAddressType, string, bool) {
	kind, encoded, ok := strings.Cut(value, ";")
	if !ok || len(value) > maxOriginalRecipient || !isKeyword(kind) {
		return "", "", false
	}
	address, ok := decodeXtext(encoded)
	if !ok {
		return "", "", false
	}
	t := smtp.DSNAddressType(strings.ToUpper(kind))
	if t == smtp.DSNAddressTypeUTF8 {
		address, ok = decodeUnicode(address)
	} else {
		ok = isASCII(address)
	}
	return t, address, ok
}
