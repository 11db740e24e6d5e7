package com.example.hrnet.models

import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

/** An input or output of a network. */
class Tensor(val name: String, val type: String, val shape: List<Int>) {
    /** How many numbers it holds. */
    val size: Int get() = shape.fold(1) { product, side -> product * side }
}

/**
 * What every exported network says of itself.
 *
 * @property source The file's name, for messages.
 * @property inputs By their names, as [outputs].
 */
class Description(val json: JSONObject, val source: String) {
    val inputs: Map<String, Tensor> = tensors("inputs")
    val outputs: Map<String, Tensor> = tensors("outputs")

    /** The only input, a picture: uint8, a number of them, height, width and 3. */
    val image: Tensor
        get() {
            val image = inputs.values.singleOrNull()
            if (image == null || image.type != "uint8" || image.shape.size != 4) {
                throw ModelException("$source takes something else than pictures.")
            }
            return image
        }

    /** Whether a GPU is known to take all that it computes, none of it with 8 bits. */
    val suitsGpu: Boolean
        get() {
            val operators = json.optJSONObject("operators") ?: return true
            val others = operators.optJSONObject("not_on_gpu")
            return (others == null || others.length() == 0) && operators.optInt("in_8_bits") == 0
        }

    /** @throws ModelException If the network is for something else. */
    fun checkTask(task: String) {
        val own = json.optString("task")
        if (own != task) throw ModelException("$source is a $own model, not one for $task.")
    }

    /** @throws ModelException If there is no such output, or it has other dimensions. */
    fun output(name: String, type: String, dimensions: Int): Tensor {
        val tensor = outputs[name]
        if (tensor == null || tensor.type != type || tensor.shape.size != dimensions) {
            throw ModelException("$source has no output $name of $dimensions dimensions ($type).")
        }
        return tensor
    }

    /**
     * What [read] takes out of the description.
     *
     * @throws ModelException If it lacks something.
     */
    fun <T> read(read: (JSONObject) -> T): T =
        try {
            read(json)
        } catch (error: JSONException) {
            throw ModelException("$source: its $DESCRIPTION is not as expected.", error)
        }

    private fun tensors(side: String): Map<String, Tensor> {
        val told = json.optJSONObject("tensors")?.optJSONObject(side) ?: throw ModelException(
            "$source does not tell its $side: export it again with this version of hrnet_tf."
        )
        val found = mutableMapOf<String, Tensor>()
        for (name in told.keys()) {
            found[name] = read {
                val tensor = told.getJSONObject(name)
                val shape = tensor.getJSONArray("shape")
                Tensor(name, tensor.getString("type"), shape.indices.map { shape.getInt(it) })
            }
        }
        return found
    }
}

val JSONArray.indices: IntRange get() = 0 until length()

fun JSONArray.strings(): List<String> = indices.map { getString(it) }
