package events

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of fields, from event.proto, summary.proto, tensor.proto and
// tensor_shape.proto of TensorFlow.
const (
	eventWallTime    protowire.Number = 1
	eventStep        protowire.Number = 2
	eventFileVersion protowire.Number = 3
	eventSummary     protowire.Number = 5
	eventSessionLog  protowire.Number = 7

	sessionLogStatus protowire.Number = 1

	summaryValue       protowire.Number = 1
	valueTag           protowire.Number = 1
	valueSimple        protowire.Number = 2
	valueTensor        protowire.Number = 8
	valueMetadata      protowire.Number = 9
	metadataPluginData protowire.Number = 1
	pluginDataName     protowire.Number = 1

	tensorType      protowire.Number = 1
	tensorShape     protowire.Number = 2
	tensorStringVal protowire.Number = 8
	shapeDim        protowire.Number = 2
	dimSize         protowire.Number = 1
)

// Values of enumerations, from event.proto and types.proto.
const (
	statusStart = 1 // SessionLog.START
	typeString  = 7 // DT_STRING
)

// event is an Event message: its time and step, and then one field, what it
// tells. As with all messages here the fields are in the order of their numbers
// and zeros are left out, which is how the reference serialises them.
func event(at time.Time, step int64, what protowire.Number, content []byte) []byte {
	var b []byte
	if seconds := float64(at.Unix()) + float64(at.Nanosecond())/1e9; seconds != 0 {
		b = protowire.AppendTag(b, eventWallTime, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, math.Float64bits(seconds))
	}
	if step != 0 {
		b = appendInt(b, eventStep, step)
	}
	return appendBytes(b, what, content)
}

// sessionStart is a SessionLog message of status START.
func sessionStart() []byte {
	return appendInt(nil, sessionLogStatus, statusStart)
}

// scalarSummary is a Summary message of one number. That is part of a oneof, so
// a zero is written too.
func scalarSummary(tag string, value float64) []byte {
	v := appendBytes(nil, valueTag, []byte(tag))
	v = protowire.AppendTag(v, valueSimple, protowire.Fixed32Type)
	v = protowire.AppendFixed32(v, math.Float32bits(float32(value)))
	return appendBytes(nil, summaryValue, v)
}

// textSummary is a Summary message of a text, a string tensor of shape [1].
func textSummary(tag, markdown string) []byte {
	shape := appendBytes(nil, shapeDim, appendInt(nil, dimSize, 1))
	tensor := appendInt(nil, tensorType, typeString)
	tensor = appendBytes(tensor, tensorShape, shape)
	tensor = appendBytes(tensor, tensorStringVal, []byte(markdown))
	plugin := appendBytes(nil, pluginDataName, []byte("text"))

	v := appendBytes(nil, valueTag, []byte(tag))
	v = appendBytes(v, valueTensor, tensor)
	v = appendBytes(v, valueMetadata, appendBytes(nil, metadataPluginData, plugin))
	return appendBytes(nil, summaryValue, v)
}

func appendInt(b []byte, field protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}
