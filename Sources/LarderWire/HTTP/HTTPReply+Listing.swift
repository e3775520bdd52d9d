// Replies that describe namespaces and list keys: the JSON shapes of docs/http-api.md.

import LarderBytes

extension HTTPReply {
    // MARK: Namespaces

    package static func namespace(
        _ namespace: NamespaceReply, status: Status, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        let mark = beginJSON(status, version: 0, to: command, into: &output)
        output.append("{\"data\":")
        append(namespace, to: &output)
        output.append("}")
        endJSON(mark, to: command, into: &output)
    }

    /// One page. A client that finds no `total_pages` asks for the next page for ever, so it is there, and at least 1.
    package static func namespaces(
        _ page: [NamespaceReply], total: Int, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        let size = max(command.list.limit, 1)
        let mark = beginJSON(.ok, version: 0, to: command, into: &output)
        output.append("{\"data\":[")
        for (index, namespace) in page.enumerated() {
            if index > 0 { output.append(",") }
            append(namespace, to: &output)
        }
        output.append("],\"meta\":{\"page_number\":")
        output.append(decimal: Int64(command.list.page))
        output.append(",\"page_size\":")
        output.append(decimal: Int64(size))
        output.append(",\"total_pages\":")
        output.append(decimal: Int64(max(1, (total + size - 1) / size)))
        output.append(",\"total_results\":")
        output.append(decimal: Int64(total))
        output.append("}}")
        endJSON(mark, to: command, into: &output)
    }

    private static func append(_ namespace: NamespaceReply, to output: inout ByteBuffer) {
        output.append("{\"record_type\":\"storage_kv\",\"id\":\"")
        output.append(uuid: namespace.id)
        output.append("\",\"name\":\"")
        output.append(json: namespace.name)
        output.append("\",\"status\":\"")
        output.append(json: namespace.state)
        output.append("\",\"created_at\":\"")
        output.append(timestamp: namespace.createdMilliseconds, counter: nil)
        output.append("\",\"updated_at\":\"")
        output.append(timestamp: namespace.updatedMilliseconds, counter: nil)
        output.append("\",\"durability\":\"")
        output.append(json: namespace.durability)
        output.append(namespace.keyRule == .path ? "\",\"keys\":\"path\"" : "\",\"keys\":\"bytes\"")
        output.append(",\"key_count\":")
        output.append(decimal: namespace.keys)
        output.append(",\"size_bytes\":")
        output.append(decimal: namespace.bytes)
        output.append(namespace.eviction == .none ? ",\"eviction\":\"none\"" : ",\"eviction\":\"s3-fifo\"")
        output.append(",\"memory_bytes\":")
        output.append(decimal: namespace.memoryBytes)
        output.append(",\"bytes_max\":")
        output.append(decimal: namespace.bytesMax)
        output.append("}")
    }

    // MARK: Keys

    package static func beginList(to command: borrowing Command, into output: inout ByteBuffer) -> ListMark {
        let mark = beginJSON(.ok, version: 0, to: command, into: &output)
        output.append("{\"record_type\":\"storage_kv_key\",\"data\":[")
        return mark
    }

    package static func listItem(
        _ item: borrowing ListItem, mark: inout ListMark, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        if mark.items > 0 { output.append(",") }
        mark.items += 1
        output.append(item.isPrefix ? "{\"prefix\":\"" : "{\"key\":\"")
        let isExact = output.append(json: item.key)
        output.append("\"")
        if !isExact {
            output.append(item.isPrefix ? ",\"prefix_base64\":\"" : ",\"key_base64\":\"")
            output.append(base64: item.key)
            output.append("\"")
        }
        if !item.isPrefix {
            output.append(",\"size_bytes\":")
            output.append(decimal: Int64(item.valueBytes))
            output.append(",\"updated_at\":\"")
            output.append(timestamp: item.updatedMilliseconds, counter: item.updatedCounter)
            output.append("\"")
        }
        output.append("}")
    }

    package static func endList(
        cursor: [UInt8]?, mark: ListMark, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        if let cursor {
            output.append("],\"meta\":{\"has_more\":true,\"cursor\":\"")
            HTTPCursor.append(cursor, to: &output)
            output.append("\"}}")
        } else {
            // A cursor on the last page, even an empty one, would keep some clients asking.
            output.append("],\"meta\":{\"has_more\":false}}")
        }
        endJSON(mark, to: command, into: &output)
    }
}
