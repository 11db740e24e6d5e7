package com.example.hrnet.models

import org.json.JSONObject

/** A line between two keypoints, and its colour: alpha, red, green and blue. */
class Limb(val from: Int, val to: Int, val color: Int)

/** What the keypoints are: how sure one is of their places, and the lines between them. */
class Skeleton(val names: List<String>, val sigmas: DoubleArray, val limbs: List<Limb>) {
    companion object {
        /** Reads `skeleton` of hrnet_tf.json. */
        fun of(json: JSONObject): Skeleton {
            val names = json.getJSONArray("keypoints").strings()
            val sigmas = json.getJSONArray("sigmas")
            val limbs = json.getJSONArray("limbs")
            val colors = json.getJSONArray("limb_colors")
            return Skeleton(
                names,
                DoubleArray(sigmas.length()) { sigmas.getDouble(it) },
                limbs.indices.map { place ->
                    val ends = limbs.getJSONArray(place).strings().map { names.indexOf(it) }
                    val color = colors.getJSONArray(place)
                    val rgb = color.indices.fold(0xff) { all, i -> all shl 8 or color.getInt(i) }
                    Limb(ends[0], ends[1], rgb)
                }
            )
        }
    }
}
