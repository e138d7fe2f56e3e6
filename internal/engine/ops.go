package engine

import "encoding/binary"

// Key and value changes in a record, one after the other: an octet that says
// which, the key's length, the key, and for opSet the value's length and the
// value. Lengths are uvarints.
const (
	opSet    = 1
	opDelete = 2
)

func appendSet(b, key, value []byte) []byte {
	b = append(b, opSet)
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

func appendDelete(b, key []byte) []byte {
	b = append(b, opDelete)
	b = binary.AppendUvarint(b, uint64(len(key)))
	return append(b, key...)
}

// keyValue is one change; its slices point into the record.
type keyValue struct {
	op         byte
	key, value []byte
}

// eachOp calls f for every change in b. It returns false when b is not a
// sequence of changes, and f's error when f fails.
func eachOp(b []byte, f func(keyValue) error) (ok bool, err error) {
	for len(b) > 0 {
		kv := keyValue{op: b[0]}
		if kv.key, b, ok = cutBytes(b[1:]); !ok {
			return false, nil
		}
		switch kv.op {
		case opSet:
			if kv.value, b, ok = cutBytes(b); !ok {
				return false, nil
			}
		case opDelete:
		default:
			return false, nil
		}
		if err := f(kv); err != nil {
			return true, err
		}
	}
	return true, nil
}

func cutBytes(b []byte) (first, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil, false
	}
	b = b[k:]
	return b[:n:n], b[n:], true
}
