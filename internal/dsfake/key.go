package dsfake

import (
	"encoding/binary"
	"strings"

	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// database is what a request is about.
type database struct{ project, id string }

func invalid(format string, a ...any) error {
	return status.Errorf(codes.InvalidArgument, format, a...)
}

// open checks what every request names.
func openDatabase(project, id string) (database, error) {
	if project == "" {
		return database{}, invalid("The project id is the empty string.")
	}
	return database{project, id}, nil
}

// partition is a namespace of a database.
type partition struct {
	database
	namespace string
}

// partition resolves a partition id of a request against the request's own database.
func (d database) partition(p *pb.PartitionId) (partition, error) {
	project, id := p.GetProjectId(), p.GetDatabaseId()
	if project != "" && project != d.project || id != "" && id != d.id {
		return partition{}, invalid("mismatched databases within request: %s/%s vs. %s/%s", d.project, d.id, project, id)
	}
	return partition{d, p.GetNamespaceId()}, nil
}

// id is a partition as it comes in answers.
func (p partition) id() *pb.PartitionId {
	return &pb.PartitionId{ProjectId: p.project, DatabaseId: p.database.id, NamespaceId: p.namespace}
}

// key is a complete key, its encoded path in the order of keys; the encoding of an
// ancestor is a prefix.
type key struct {
	partition
	path string
}

func reserved(name string) bool {
	return len(name) >= 4 && strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__")
}

// key checks a key and encodes it. The last element of one that is incomplete has
// neither name nor id.
func (d database) key(k *pb.Key) (encoded key, complete bool, err error) {
	p, err := d.partition(k.GetPartitionId())
	if err != nil {
		return key{}, false, err
	}
	if len(k.GetPath()) == 0 {
		return key{}, false, invalid("The key path is empty.")
	}
	var path []byte
	size := len(p.namespace) + 16
	for i, e := range k.Path {
		if err := checkElement(e); err != nil {
			return key{}, false, err
		}
		path = appendString(path, e.Kind)
		size += len(e.Kind) + len(e.GetName()) + 9
		switch id := e.IdType.(type) {
		case *pb.Key_PathElement_Id:
			path = binary.BigEndian.AppendUint64(append(path, 1), uint64(id.Id)^1<<63)
		case *pb.Key_PathElement_Name:
			path = appendString(append(path, 2), id.Name)
		default:
			if i < len(k.Path)-1 {
				return key{}, false, invalid("Key path element must not be incomplete: [%s: ]", e.Kind)
			}
			return key{partition: p}, false, nil
		}
	}
	if size > maxKey {
		return key{}, false, invalid("The key is longer than %d bytes.", maxKey)
	}
	return key{p, string(path)}, true, nil
}

// completeKey is key for keys that must be complete.
func (d database) completeKey(k *pb.Key) (key, error) {
	encoded, complete, err := d.key(k)
	if err == nil && !complete {
		err = invalid("Key path element must not be incomplete: [%s: ]", k.Path[len(k.Path)-1].Kind)
	}
	return encoded, err
}

func checkElement(e *pb.Key_PathElement) error {
	name, named := e.IdType.(*pb.Key_PathElement_Name)
	id, numbered := e.IdType.(*pb.Key_PathElement_Id)
	switch {
	case e.Kind == "":
		return invalid("The kind is the empty string.")
	case len(e.Kind) > maxIndexed:
		return invalid("The kind is longer than %d bytes.", maxIndexed)
	case reserved(e.Kind):
		return invalid("The kind %q is reserved.", e.Kind)
	case named && name.Name == "":
		return invalid("The key path element name is the empty string.")
	case named && len(name.Name) > maxIndexed:
		return invalid("The key path element name is longer than %d bytes.", maxIndexed)
	case named && reserved(name.Name):
		return invalid("The key path element name %q is reserved.", name.Name)
	case numbered && id.Id == 0:
		return invalid("The key path element id is 0.")
	}
	return nil
}

// kind is the kind of a key's entity.
func kind(k *pb.Key) string { return k.Path[len(k.Path)-1].Kind }

// appendString appends a string such that encodings sort as strings do and none is a
// prefix of another.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if b = append(b, s[i]); s[i] == 0 {
			b = append(b, 0xff)
		}
	}
	return append(b, 0, 1)
}
