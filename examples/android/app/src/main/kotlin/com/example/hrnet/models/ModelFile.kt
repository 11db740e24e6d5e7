/**
 * What a .tflite file says of itself: hrnet_tf.json, which hrnet_tf.export attaches.
 *
 * The file ends in a ZIP archive. java.util.zip would need a file of its own for it,
 * and an app's assets lie within the app's: so the archive's table is read here.
 */
package com.example.hrnet.models

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.DataFormatException
import java.util.zip.Inflater
import org.json.JSONException
import org.json.JSONObject

const val DESCRIPTION = "hrnet_tf.json"

// Of the ZIP format: the marks that its parts begin with, how long these are without
// their texts, and where in them something is.
private const val END_MARK = 0x06054b50
private const val ENTRY_MARK = 0x02014b50
private const val END_BYTES = 22
private const val ENTRY_BYTES = 46
private const val HEADER_BYTES = 30
private const val LONGEST_COMMENT = 65535
private const val IN_SHORT = 0xffff
private const val STORED = 0

// In bytes; a description has some thousands.
private const val LARGEST = 1 shl 24

/** A model that this app cannot use; the message says which and why. */
class ModelException(message: String, cause: Throwable? = null) : Exception(message, cause)

/**
 * Reads the description out of a .tflite file's content.
 *
 * @param source The file's name, for messages.
 * @throws ModelException If hrnet_tf.export did not write the file.
 */
fun readDescription(content: ByteBuffer, source: String): JSONObject {
    val missing = "$source holds no $DESCRIPTION: export it with hrnet_tf.export."
    val damaged = "$source: its $DESCRIPTION is damaged."
    try {
        val bytes = readEntry(content, DESCRIPTION) ?: throw ModelException(missing)
        return JSONObject(String(bytes, Charsets.UTF_8))
    } catch (error: IndexOutOfBoundsException) {
        throw ModelException(missing, error)
    } catch (error: JSONException) {
        throw ModelException(damaged, error)
    } catch (error: DataFormatException) {
        throw ModelException(damaged, error)
    }
}

/** The content of a file in the archive at the end of some content, or null. */
private fun readEntry(content: ByteBuffer, name: String): ByteArray? {
    val file = content.duplicate().order(ByteOrder.LITTLE_ENDIAN)
    val end = findEnd(file) ?: return null
    var place = file.getInt(end + 16)
    repeat(short(file, end + 10)) {
        if (file.getInt(place) != ENTRY_MARK) return null
        val nameBytes = short(file, place + 28)
        if (String(bytes(file, place + ENTRY_BYTES, nameBytes), Charsets.UTF_8) == name) {
            return unpacked(file, place)
        }
        place += ENTRY_BYTES + nameBytes + short(file, place + 30) + short(file, place + 32)
    }
    return null
}

/** Where the end of the archive's table is; its comment, of any length, follows. */
private fun findEnd(file: ByteBuffer): Int? {
    val last = file.limit() - END_BYTES
    return (last downTo maxOf(0, last - LONGEST_COMMENT)).firstOrNull {
        file.getInt(it) == END_MARK && it + END_BYTES + short(file, it + 20) == file.limit()
    }
}

/** The content of the file that a row of the archive's table is about. */
private fun unpacked(file: ByteBuffer, entry: Int): ByteArray {
    val header = file.getInt(entry + 42)
    val start = header + HEADER_BYTES + short(file, header + 26) + short(file, header + 28)
    val packed = bytes(file, start, file.getInt(entry + 20))
    if (short(file, entry + 10) == STORED) return packed
    val size = file.getInt(entry + 24)
    if (size !in 0..LARGEST) throw DataFormatException("It says to have $size bytes.")
    val content = ByteArray(size)
    val inflater = Inflater(true)
    inflater.setInput(packed)
    inflater.inflate(content)
    inflater.end()
    return content
}

private fun short(file: ByteBuffer, place: Int) = file.getShort(place).toInt() and IN_SHORT

private fun bytes(file: ByteBuffer, place: Int, count: Int): ByteArray {
    if (place < 0 || count < 0 || place > file.limit() - count) throw IndexOutOfBoundsException()
    val part = file.duplicate()
    part.position(place)
    return ByteArray(count).also { part.get(it) }
}
