package dsfake

import (
	"encoding/binary"
	"math"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/protobuf/proto"
)

// Values of different types sort by their ranks.
const (
	rankNull   = 0x05
	rankInt    = 0x10 // and timestamps, as microseconds
	rankBool   = 0x18
	rankString = 0x20 // and blobs
	rankDouble = 0x28
	rankGeo    = 0x30
	rankKey    = 0x38
)

// appendValue appends a value that is not an array or an entity, such that encodings
// sort as the values do and none is a prefix of another.
func (d database) appendValue(b []byte, v *pb.Value) ([]byte, error) {
	switch v := v.GetValueType().(type) {
	case *pb.Value_NullValue:
		return append(b, rankNull), nil
	case *pb.Value_IntegerValue:
		return appendInt(append(b, rankInt), v.IntegerValue), nil
	case *pb.Value_TimestampValue:
		return appendInt(append(b, rankInt), v.TimestampValue.AsTime().UnixMicro()), nil
	case *pb.Value_BooleanValue:
		b = append(b, rankBool, 0)
		if v.BooleanValue {
			b[len(b)-1] = 1
		}
		return b, nil
	case *pb.Value_StringValue:
		return appendString(append(b, rankString), v.StringValue), nil
	case *pb.Value_BlobValue:
		return appendString(append(b, rankString), string(v.BlobValue)), nil
	case *pb.Value_DoubleValue:
		return appendDouble(append(b, rankDouble), v.DoubleValue), nil
	case *pb.Value_GeoPointValue:
		return appendDouble(appendDouble(append(b, rankGeo), v.GeoPointValue.Latitude), v.GeoPointValue.Longitude), nil
	case *pb.Value_KeyValue:
		k, err := d.completeKey(v.KeyValue)
		if err != nil {
			return nil, err
		}
		b = appendString(append(b, rankKey), k.namespace)
		return appendString(b, k.path), nil
	}
	return nil, invalid("a value of type %T cannot be compared", v.GetValueType())
}

func appendInt(b []byte, n int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(n)^1<<63) }

func appendDouble(b []byte, f float64) []byte {
	bits := math.Float64bits(f)
	if bits>>63 == 1 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(b, bits)
}

// indexed is an indexed value as a projection shows it: marked as such, and a time as
// the number of its microseconds.
func indexed(v *pb.Value) *pb.Value {
	const meaningIndexValue = 18
	if t, ok := v.GetValueType().(*pb.Value_TimestampValue); ok {
		v = &pb.Value{ValueType: &pb.Value_IntegerValue{IntegerValue: t.TimestampValue.AsTime().UnixMicro()}}
	} else {
		v = proto.CloneOf(v)
	}
	v.Meaning = meaningIndexValue
	return v
}
