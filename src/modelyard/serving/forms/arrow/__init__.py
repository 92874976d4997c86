"""The form of Apache Arrow: a table as an IPC stream, in and out.

Read and written here rather than by a library, because these bytes come from anybody and the embedded lane reads them
inside the gateway: with one bit turned, arro3 aborts the process and nanoarrow reads outside its memory; pyarrow holds,
but unpacks compressed columns of any size and is larger than all the rest of the data plane. Python cannot be crashed
by bytes, and a table of plain columns needs little of the format. Tests hold this reader and writer against pyarrow.

`flatbuffers` is the encoding of the metadata, `schema` what the columns are, `reader` and `writer` the two directions.
The text: arrow.apache.org/docs/format/Columnar.html, Message.fbs and Schema.fbs.
"""
